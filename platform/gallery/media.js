"use strict";
// Videos and images below an element. A video is made where its place in the page is near the window, and taken away
// where it is far: browsers limit how many players a page may have, and thousands would make it slow. What plays them
// is their playback's business.

class Media {
  constructor(root) {
    this.root = root;
    this.playback = null;
    this.places = [...root.querySelectorAll(".video")];
    root.querySelectorAll("img").forEach(watchImage);
  }

  videos() { return this.places.map((place) => place.firstElementChild).filter(Boolean); }
  playable() { return this.videos().filter((video) => !video.error); }
  leader() {
    const videos = this.playable();
    return videos.find((video) => video.parentElement.matches(".made")) ?? videos[0];
  }

  load() {
    this.places.forEach((place) => {
      if (!place.firstElementChild && place.getClientRects().length) place.append(this.video(place));
    });
    this.playback.start();
  }
  unload() { this.places.forEach(giveBack); }

  video(place) {
    const video = document.createElement("video");
    Object.assign(video, { muted: true, playsInline: true, preload: "auto" });
    Object.assign(video, { disableRemotePlayback: true, disablePictureInPicture: true });
    video.setAttribute("aria-label", place.dataset.label);
    video.addEventListener("loadedmetadata", () => fit(place, video.videoWidth, video.videoHeight));
    video.addEventListener("canplay", () => this.playback.start()); // first, and after every seek
    video.addEventListener("ended", () => video === this.playback.leader() && this.playback.rewind());
    video.addEventListener("error", () => {
      if (!video.hasAttribute("src")) return;
      lost(place);
      this.playback.start();
    });
    video.src = place.dataset.src;
    return video;
  }
}

function giveBack(place) {
  const video = place.firstElementChild;
  if (!video) return;
  video.pause();
  video.removeAttribute("src");
  video.load();
  video.remove();
}

function watchImage(image) {
  const settle = () => (image.naturalWidth ? fit(image, image.naturalWidth, image.naturalHeight) : lost(image));
  image.addEventListener("load", settle);
  image.addEventListener("error", settle);
  if (image.complete) settle();
}

// The frame takes the shape of what it shows; what lies over it, to be compared, is stretched to the same shape.
function fit(shown, width, height) {
  if (shown.matches(".over") || !width) return;
  const figure = shown.closest("figure");
  figure.style.setProperty("--w", width);
  figure.style.setProperty("--h", height);
  if (shown.matches(".made")) shown.closest(".clip").classList.toggle("panorama", width > 2.6 * height);
}

function lost(shown) {
  if (shown.matches(".over")) shown.closest(".screen").classList.add("alone");
  else shown.closest("figure").classList.add("missing");
}
