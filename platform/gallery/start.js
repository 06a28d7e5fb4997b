// The page's keys and buttons, and its start.

let active = null;

clips.forEach((clip) => {
  const activate = () => { active = clip; };
  clip.card.addEventListener("pointerenter", activate);
  clip.card.addEventListener("focusin", activate);
});

function walk(direction) {
  const shown = clips.filter(({ card }) => !card.hidden).map(({ card }) => card);
  shown.sort((one, other) => (one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
  const next = shown[Math.min(shown.length - 1, Math.max(0, shown.indexOf(active?.card) + direction))];
  if (next) goTo(next);
}

const keys = {
  " ": toggleAll,
  p: () => active?.media.playback.toggle(),
  ArrowLeft: () => active?.media.playback.step(-1),
  ArrowRight: () => active?.media.playback.step(1),
  j: () => walk(1),
  k: () => walk(-1),
  "/": () => form.elements.words.focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    document.querySelectorAll(".files[open]").forEach((menu) => { menu.open = false; });
    if (event.target === form.elements.words) event.target.blur();
  }
  const pressed = event.key === " " && event.target.matches("button, summary, a");
  if (pressed || event.target.matches("input, select, textarea") || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});

playAll.addEventListener("click", toggleAll);
document.querySelector(".narrow").addEventListener("click", ({ currentTarget }) => {
  const open = document.querySelector(".bar").classList.toggle("open");
  currentTarget.setAttribute("aria-expanded", String(open));
});
new ResizeObserver(([bar]) => { // it sticks to the window's edge, and what is scrolled to has to stay clear of it
  document.documentElement.style.setProperty("--bar", `${bar.target.offsetHeight + 8}px`);
}).observe(document.querySelector(".bar"));

watchAnew();
setPlaying(motion.playing);
follow();
