// Which clips are shown, in which order, and whether as groups of variants, as the form says.

const form = document.querySelector(".choices");
const nothing = document.querySelector("main > .empty");

const ranks = { failed: 0, warnings: 1, done: 2 };
const rank = ({ status, warnings }) => ranks[status === "done" && warnings ? "warnings" : status];
const ORDERS = {
  name: (one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }),
  time: (one, other) => other.seconds - one.seconds,
  failed: (one, other) => rank(one) - rank(other),
  seed: (one, other) => (one.seed ?? 2 ** 32) - (other.seed ?? 2 ** 32),
};

function choice() {
  const data = new FormData(form);
  const listed = (name) => (data.get(name) ?? "").toLowerCase().split(/[\s,]+/).filter(Boolean);
  return {
    words: listed("words"),
    status: data.get("status") ?? "",
    controls: data.getAll("control"),
    seeds: listed("seed"),
    order: data.get("order") ?? "",
    variants: data.has("variants"),
  };
}

function fits(clip, { words, status, controls, seeds }) {
  const { facts } = clip;
  return (!status || (status === "warnings" ? facts.warnings > 0 : facts.status === status))
    && controls.every((control) => facts.controls.includes(control))
    && (!seeds.length || seeds.includes(String(facts.seed)))
    && words.every((word) => clip.words().includes(word));
}

let arrangement = " false"; // order and grouping as the page was written

function arrange({ order, variants }) {
  if (arrangement === `${order} ${variants}`) return;
  arrangement = `${order} ${variants}`;
  const compare = ORDERS[order];
  const ordered = compare ? [...clips].sort((one, other) => compare(one.facts, other.facts)) : clips;
  document.querySelector(".clips").replaceChildren(...arranged(ordered, variants));
  watchAnew();
}

function apply() {
  const chosen = choice();
  clips.forEach((clip) => { clip.card.hidden = !fits(clip, chosen); });
  arrange(chosen);
  groups.forEach((group) => group.showIfAny());
  sayHowMany();
}

function sayHowMany() {
  const shown = clips.filter(({ card }) => !card.hidden).length;
  const all = shown === clips.length;
  const words = clips.length === 1 ? "1 clip" : `${clips.length} clips`;
  document.querySelector(".shown").textContent = all ? words : `${shown} of ${words}`;
  form.querySelector(".clear").hidden = all;
  nothing.hidden = shown > 0;
}

function fill(given) {
  form.querySelectorAll("[name]").forEach((field) => {
    const values = given.getAll(field.name);
    if (!field.matches("[type=checkbox], [type=radio]")) field.value = values[0] ?? "";
    else field.checked = values.length ? values.includes(field.value) : field.defaultChecked;
  });
}

function clearFilters() {
  const { order, variants } = choice();
  fill(new URLSearchParams({ order, ...(variants && { variants: "on" }) }));
  apply();
}

form.addEventListener("submit", (event) => event.preventDefault());
