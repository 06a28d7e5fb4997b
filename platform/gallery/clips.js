// All cards of the page, and which of them are near the window.

class Clip {
  constructor(card) {
    this.card = card;
    this.facts = JSON.parse(card.dataset.facts);
    this.media = new Media(card);
    this.playback = new Playback(card, [this.media], Number(card.dataset.fps));
    this.playback.take();
    this.comparison = card.querySelector(".edge") ? new Comparison(card, this.media) : null;
    this.enlarging(card.querySelector(".enlarge"));
  }

  enlarging(button) {
    if (!button) return;
    button.hidden = !document.fullscreenEnabled;
    const stage = button.closest("figure");
    button.addEventListener("click", () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else stage.requestFullscreen();
    });
  }
  words() { // what the search box looks through; of the source its file, for folders would match everything
    if (this.text !== undefined) return this.text;
    const told = [...this.card.querySelectorAll("h2, .prompt, .reason, .failed-in, .warnings")];
    const source = this.card.querySelector(".origin .path")?.textContent.split("/").at(-1);
    this.text = [...told.map((element) => element.textContent), source].join(" ").toLowerCase();
    return this.text;
  }
}

const clips = [...document.querySelectorAll(".clip")].map((card) => new Clip(card));
const mediaOf = new Map(clips.map((clip) => [clip.card, clip.media])); // by the element that has to be near
const near = new Set();
const playAll = document.querySelector(".play-all");

const watcher = new IntersectionObserver((entries) => {
  entries.forEach((entry) => {
    const media = mediaOf.get(entry.target);
    if (entry.isIntersecting) {
      near.add(media);
      media.load();
      offerToUnfold(entry.target);
    } else if (near.delete(media)) {
      media.unload();
    }
  });
}, { rootMargin: "350px 0px" });

function watchAnew() { // after elements have moved in the page
  watcher.disconnect();
  near.forEach((media) => media.unload());
  near.clear();
  mediaOf.forEach((_, element) => watcher.observe(element));
}

function playbacks() { return new Set([...near].map((media) => media.playback)); }

function setPlaying(playing) {
  motion.playing = playing;
  playAll.setAttribute("aria-pressed", String(playing));
  playAll.querySelector(".words").textContent = playing ? "Pause all" : "Play all";
  playbacks().forEach((playback) => playback.start());
}

function toggleAll() {
  clips.forEach((clip) => { clip.media.playback.wanted = true; });
  setPlaying(!motion.playing);
}

function playOnly(playback) {
  clips.forEach((clip) => { clip.media.playback.wanted = clip.media.playback === playback; });
  setPlaying(true);
}

(function tick() {
  playbacks().forEach((playback) => {
    if (!playback.runs()) return;
    playback.follow();
    playback.show();
  });
  requestAnimationFrame(tick);
})();
