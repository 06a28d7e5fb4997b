"use strict";
// Videos and images below an element: loaded while it is near the window and given back when it is far, because browsers
// limit how many players a page may have. What plays them, and where, is their playback's business.

class Media {
  constructor(root) {
    this.root = root;
    this.playback = null;
    this.videos = [...root.querySelectorAll("video")];
    this.videos.forEach((video) => this.listen(video));
    root.querySelectorAll("img").forEach((image) => this.watch(image));
  }

  listen(video) {
    video.addEventListener("loadedmetadata", () => fit(video, video.videoWidth, video.videoHeight));
    video.addEventListener("canplay", () => this.playback.start()); // first, and after every seek
    video.addEventListener("ended", () => video === this.playback.leader() && this.playback.rewind());
    video.addEventListener("error", () => {
      if (!video.hasAttribute("src")) return;
      lost(video);
      this.playback.start();
    });
  }
  watch(image) {
    const settle = () => (image.naturalWidth ? fit(image, image.naturalWidth, image.naturalHeight) : lost(image));
    image.addEventListener("load", settle);
    image.addEventListener("error", settle);
    if (image.complete) settle();
  }

  playable() { return this.videos.filter((video) => !video.error && video.hasAttribute("src")); }
  leader() { return this.playable().find((video) => video.matches(".made")) ?? this.playable()[0]; }

  load() {
    this.videos.forEach((video) => {
      if (video.hasAttribute("src") || !video.getClientRects().length) return;
      video.preload = "auto";
      video.src = video.dataset.src;
    });
    this.playback?.start();
  }
  unload() { this.videos.forEach(giveBack); }
}

function giveBack(video) {
  if (!video.hasAttribute("src")) return;
  video.pause();
  video.removeAttribute("src");
  video.load();
}

// The frame takes the shape of what it shows; what lies over it, to be compared, is stretched to the same shape.
function fit(shown, width, height) {
  const figure = shown.closest("figure");
  if (shown.matches(".over") || !width) return;
  figure.style.setProperty("--w", width);
  figure.style.setProperty("--h", height);
  if (shown.matches(".made")) shown.closest(".clip").classList.toggle("panorama", width > 2.6 * height);
}

function lost(shown) {
  if (shown.matches(".over")) shown.closest(".screen").classList.add("alone");
  else shown.closest("figure").classList.add("missing");
}
