// Copy buttons, prompts that unfold, and menus that close when one looks elsewhere.

const told = document.querySelector(".told");
const COPIED = {
  seed: (clip) => String(clip.facts.seed),
  prompt: (clip) => clip.card.querySelector(".prompt").textContent,
  row: (clip) => JSON.stringify(clip.facts.row, null, 2),
};

function say(words) {
  told.textContent = words;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { told.textContent = ""; }, 6000);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text); // isn't there on pages from disk or plain HTTP, in some browsers
    return true;
  } catch {
    return copyOldWay(text);
  }
}

function copyOldWay(text) {
  const box = document.createElement("textarea");
  box.value = text;
  box.setAttribute("readonly", "");
  box.className = "off-screen";
  document.body.append(box);
  const focused = document.activeElement;
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  focused?.focus({ preventScroll: true });
  return done;
}

function offerByHand(text) {
  const dialog = document.querySelector(".by-hand");
  const box = dialog.querySelector("textarea");
  box.value = text;
  dialog.showModal();
  box.select();
}

async function onCopy(button) {
  const clip = clips.find(({ card }) => card.contains(button));
  const what = button.dataset.copy;
  const text = COPIED[what](clip);
  if (!await copy(text)) {
    offerByHand(text);
    return;
  }
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
  say(`Copied the ${what} of ${clip.facts.name}.`);
}

function offerToUnfold(card) {
  const prompt = card.querySelector(".prompt");
  const button = card.querySelector(".unfold");
  if (!button || button.getAttribute("aria-expanded") === "true") return;
  button.hidden = prompt.scrollHeight <= prompt.clientHeight + 1;
}

function unfold(button) {
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  button.textContent = open ? "Less" : "More";
  button.closest(".said").classList.toggle("open", open);
}

document.addEventListener("click", (event) => {
  const copying = event.target.closest("[data-copy]");
  const folding = event.target.closest(".unfold");
  if (copying) onCopy(copying);
  if (folding) unfold(folding);
  document.querySelectorAll(".files[open]").forEach((menu) => { menu.open = menu.contains(event.target); });
});
addEventListener("resize", () => near.forEach((media) => offerToUnfold(media.root)));
