"use strict";
// Videos of one card play in step: the output leads, the others follow it. Only cards near the window hold their
// videos, because browsers limit how many players a page may have.

const DRIFT_S = 0.06;

class Clip {
  constructor(card) {
    this.card = card;
    this.fps = Number(card.dataset.fps);
    this.videos = [...card.querySelectorAll("video")];
    this.scrub = card.querySelector(".scrub");
    this.clock = card.querySelector(".clock");
    this.button = card.querySelector(".play");
    this.wanted = true;
    this.videos.forEach((video) => {
      video.addEventListener("loadeddata", () => this.start());
      video.addEventListener("error", () => video.hasAttribute("src") && this.lost(video));
      video.addEventListener("ended", () => video === this.leader() && this.rewind());
      video.addEventListener("click", () => this.toggle());
    });
    card.querySelectorAll(".tiles img").forEach((image) => {
      const lost = () => image.closest("figure").classList.add("missing");
      if (image.complete && !image.naturalWidth) lost();
      else image.addEventListener("error", lost);
    });
    this.scrub?.addEventListener("input", () => this.seek(Number(this.scrub.value) * this.length()));
    this.scrub?.addEventListener("pointerdown", () => this.hold());
    this.button?.addEventListener("click", () => this.toggle());
    card.querySelectorAll(".enlarge").forEach((button) =>
      button.addEventListener("click", () => button.closest("figure").requestFullscreen()));
  }

  playable() { return this.videos.filter((video) => !video.error && video.hasAttribute("src")); }
  leader() { return this.playable().at(-1); }
  length() { return this.leader()?.duration || 0; }
  ready() { return this.playable().length > 0 && this.playable().every((video) => video.readyState >= 2); }

  load() {
    this.videos.forEach((video) => {
      if (video.hasAttribute("src")) return;
      video.preload = "auto";
      video.src = video.dataset.src;
    });
  }
  unload() {
    this.videos.forEach((video) => {
      if (!video.hasAttribute("src")) return;
      video.pause();
      video.removeAttribute("src");
      video.load();
    });
  }
  lost(video) {
    video.closest("figure").classList.add("missing");
    this.start();
  }
  start() {
    if (!this.ready()) return;
    this.playable().forEach((video) => {
      if (this.wanted && playing) video.play().catch(() => {});
      else video.pause();
    });
    this.show();
  }
  hold() {
    this.wanted = false;
    this.start();
  }
  toggle() {
    if (!this.videos.length) return;
    this.wanted = !(this.wanted && playing);
    if (this.wanted && !playing) {
      clips.forEach((clip) => { clip.wanted = clip === this; });
      setPlaying(true);
    }
    this.start();
  }
  rewind() {
    this.seek(0);
    this.start();
  }
  seek(seconds) {
    this.playable().forEach((video) => { video.currentTime = Math.min(seconds, video.duration || 0); });
    this.show();
  }
  step(frames) {
    this.hold();
    const count = Math.max(1, Math.round(this.length() * this.fps));
    const frame = Math.floor(this.leader().currentTime * this.fps) + frames;
    // the middle of a frame, so that rounding never shows its neighbour
    this.seek(((frame + count) % count + 0.5) / this.fps);
  }
  follow() {
    const leader = this.leader();
    if (!leader || leader.seeking || leader.ended) return;
    this.playable().forEach((video) => {
      if (video === leader || video.seeking) return;
      const target = Math.min(leader.currentTime, video.duration || 0);
      if (Math.abs(video.currentTime - target) > DRIFT_S) video.currentTime = target;
    });
  }
  show() {
    if (!this.button) return;
    this.button.setAttribute("aria-pressed", String(this.wanted && playing));
    const at = this.leader()?.currentTime ?? 0;
    const length = this.length();
    if (length) this.scrub.value = at / length;
    this.clock.textContent = length ? `${at.toFixed(1)} / ${length.toFixed(1)} s` : "";
  }
}

const clips = [...document.querySelectorAll(".clip")].map((card) => new Clip(card));
const byCard = new Map(clips.map((clip) => [clip.card, clip]));
const near = new Set();
const playAll = document.getElementById("play-all");
let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
let active = null;

function setPlaying(value) {
  playing = value;
  playAll.setAttribute("aria-pressed", String(playing));
  playAll.querySelector(".words").textContent = playing ? "Pause all" : "Play all";
  near.forEach((clip) => clip.start());
}

function toggleAll() {
  clips.forEach((clip) => { clip.wanted = true; });
  setPlaying(!playing);
}

playAll.addEventListener("click", toggleAll);

const watcher = new IntersectionObserver((entries) => {
  entries.forEach((entry) => {
    const clip = byCard.get(entry.target);
    if (entry.isIntersecting) {
      near.add(clip);
      clip.load();
    } else if (near.delete(clip)) {
      clip.unload();
    }
  });
}, { rootMargin: "350px 0px" });
clips.forEach((clip) => { if (clip.videos.length) watcher.observe(clip.card); });

(function tick() {
  near.forEach((clip) => {
    if (!clip.wanted || !playing) return;
    clip.follow();
    clip.show();
  });
  requestAnimationFrame(tick);
})();

const filterBox = document.getElementById("filter");
const statusButtons = [...document.querySelectorAll(".status button")];
let wantedStatus = "";

function applyFilter() {
  const words = filterBox.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  clips.forEach(({ card }) => {
    const fits = (!wantedStatus || card.dataset.status === wantedStatus) && words.every((word) => card.dataset.search.includes(word));
    card.hidden = !fits;
    shown += fits;
  });
  document.getElementById("shown").textContent = shown === clips.length ? "" : `${shown} of ${clips.length}`;
  document.getElementById("nothing").hidden = shown > 0;
}

filterBox.addEventListener("input", applyFilter);
statusButtons.forEach((button) => button.addEventListener("click", () => {
  wantedStatus = button.dataset.status;
  statusButtons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
  applyFilter();
}));

function activate(clip) { active = clip; }
clips.forEach((clip) => {
  clip.card.addEventListener("pointerenter", () => activate(clip));
  clip.card.addEventListener("focusin", () => activate(clip));
});

function walk(direction) {
  const visible = clips.filter(({ card }) => !card.hidden);
  const next = visible[Math.min(visible.length - 1, Math.max(0, visible.indexOf(active) + direction))];
  next?.card.focus({ preventScroll: true });
  next?.card.scrollIntoView({ block: "start" });
}

const keys = {
  " ": toggleAll,
  p: () => active?.toggle(),
  ArrowLeft: () => active?.leader() && active.step(-1),
  ArrowRight: () => active?.leader() && active.step(1),
  j: () => walk(1),
  k: () => walk(-1),
  "/": () => filterBox.focus(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target === filterBox) filterBox.blur();
  if (event.target.matches("input, button") || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});

setPlaying(playing);
