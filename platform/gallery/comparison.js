// The slider of a card: what it is compared with lies over the output and is cut off at the edge. Mouse and touch move
// the edge from anywhere in the picture, the arrow keys where it has the focus.

const KEY_STEPS = {
  ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100,
};

class Comparison {
  constructor(card, media) {
    this.media = media;
    this.screen = card.querySelector(".stage .screen");
    this.over = this.screen.querySelector(".over");
    this.edge = this.screen.querySelector(".edge");
    this.tiles = [...card.querySelectorAll(".tile")];
    this.label = this.screen.querySelector(".side").textContent;
    this.followPointer();
    this.edge.addEventListener("keydown", (event) => this.followKey(event));
    this.tiles.forEach((tile) => tile.addEventListener("click", () => this.against(tile)));
  }

  followPointer() {
    let from = null; // of a finger that may only want to scroll
    this.screen.addEventListener("pointerdown", (event) => {
      if (event.button || event.target.closest("button")) return;
      this.screen.setPointerCapture(event.pointerId);
      from = event.pointerType === "mouse" ? null : event;
      if (!from) this.moveBelow(event);
    });
    this.screen.addEventListener("pointermove", (event) => {
      if (!this.screen.hasPointerCapture(event.pointerId) || (from && !goesSideways(from, event))) return;
      from = null;
      this.moveBelow(event);
    });
    this.screen.addEventListener("click", (event) => event.target.closest("button") || this.moveBelow(event));
  }
  followKey(event) {
    if (!(event.key in KEY_STEPS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // elsewhere the arrows step from frame to frame
    this.moveTo(this.at() + KEY_STEPS[event.key]);
  }
  moveBelow(event) {
    const { left, width } = this.screen.getBoundingClientRect();
    this.moveTo(100 * (event.clientX - left) / width);
  }

  at() { return Number(this.edge.getAttribute("aria-valuenow")); }
  moveTo(percent) {
    const at = Math.round(Math.min(100, Math.max(0, percent)));
    this.screen.style.setProperty("--at", at / 100);
    this.edge.setAttribute("aria-valuenow", at);
    this.edge.setAttribute("aria-valuetext", `${at} % ${this.label}`);
  }
  against(tile) {
    const shown = tile.querySelector(".video, img");
    this.label = tile.querySelector(".against").textContent;
    this.tiles.forEach((one) => one.querySelector(".against").setAttribute("aria-pressed", String(one === tile)));
    this.screen.classList.remove("alone");
    this.screen.querySelector(".side").textContent = this.label;
    this.edge.setAttribute("aria-label", `Edge between ${this.label} and output`);
    this.moveTo(this.at());
    if (shown.matches("img")) this.over.src = shown.src;
    else this.replaceVideo(shown.dataset.src);
  }
  replaceVideo(source) {
    if (this.over.dataset.src === source) return;
    giveBack(this.over);
    this.over.dataset.src = source;
    this.media.load();
  }
}

function goesSideways(from, to) {
  const [across, down] = [Math.abs(to.clientX - from.clientX), Math.abs(to.clientY - from.clientY)];
  return across > 4 && across > down;
}
