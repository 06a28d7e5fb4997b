// Videos that play in step, with one play button, one position and one clock: those of a card, or of all variants of an
// input. The first one's output leads, the others follow it.

const DRIFT_S = 0.06;
const motion = { playing: !matchMedia("(prefers-reduced-motion: reduce)").matches };

class Playback {
  constructor(root, media, fps) {
    this.media = media;
    this.fps = fps;
    this.wanted = true;
    this.button = root.querySelector(".play");
    this.scrub = root.querySelector(".scrub");
    this.clock = root.querySelector(".clock");
    this.scrub?.addEventListener("input", () => this.seek(Number(this.scrub.value) * this.length()));
    this.scrub?.addEventListener("pointerdown", () => this.hold());
    this.button?.addEventListener("click", () => this.toggle());
  }

  videos() { return this.media.flatMap((some) => some.playable()); }
  leader() { return this.media.map((some) => some.leader()).find(Boolean); }
  length() { return this.leader()?.duration || 0; }
  runs() { return this.wanted && motion.playing; }

  take() { this.media.forEach((some) => { some.playback = this; }); }
  start() {
    const videos = this.videos();
    this.follow(); // videos that have only just come
    if (!this.runs()) videos.forEach((video) => video.pause());
    else if (videos.every((video) => video.readyState >= 2)) videos.forEach((video) => video.play().catch(() => {}));
    this.show();
  }
  hold() {
    this.wanted = false;
    this.start();
  }
  toggle() {
    if (!this.button) return;
    this.wanted = !this.runs();
    if (this.wanted && !motion.playing) playOnly(this);
    this.start();
  }
  rewind() {
    this.seek(0);
    this.start();
  }
  seek(seconds) {
    this.videos().forEach((video) => { video.currentTime = Math.min(seconds, video.duration || 0); });
    this.show();
  }
  step(frames) {
    if (!this.leader()) return;
    this.hold();
    const count = Math.max(1, Math.round(this.length() * this.fps));
    const frame = Math.floor(this.leader().currentTime * this.fps) + frames;
    // the middle of a frame, so that rounding never shows its neighbour
    this.seek(((frame + count) % count + 0.5) / this.fps);
  }
  follow() {
    const leader = this.leader();
    if (!leader || leader.seeking || leader.ended) return;
    this.videos().forEach((video) => {
      if (video === leader || video.seeking) return;
      const target = Math.min(leader.currentTime, video.duration || 0);
      if (Math.abs(video.currentTime - target) > DRIFT_S) video.currentTime = target;
    });
  }
  show() {
    if (!this.button) return;
    this.button.setAttribute("aria-pressed", String(this.runs()));
    const at = this.leader()?.currentTime ?? 0;
    const length = this.length();
    if (length) this.scrub.value = at / length;
    this.clock.textContent = length ? `${at.toFixed(1)} / ${length.toFixed(1)} s` : "";
  }
}
