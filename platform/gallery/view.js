// Which clips are shown and in which order, as the form says. The form is kept in the address, as #?words=rain&order=time,
// so that a link shows the same; #NAME leads to one clip.

const form = document.querySelector(".choices");
const told = document.querySelector(".told");
const nothing = document.querySelector("main > .empty");
const byName = new Map([...clips].reverse().map((clip) => [clip.facts.name, clip]));

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

function remember() {
  const given = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  const address = location.href.split("#")[0];
  history.replaceState(null, "", given.size ? `${address}#?${given}` : address);
}

function restore(given) {
  form.querySelectorAll("[name]").forEach((field) => {
    const values = given.getAll(field.name);
    if (!field.matches("[type=checkbox], [type=radio]")) field.value = values[0] ?? "";
    else field.checked = values.length ? values.includes(field.value) : field.defaultChecked;
  });
}

function say(words) {
  told.textContent = words;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { told.textContent = ""; }, 6000);
}

function clearFilters() {
  const { order, variants } = choice();
  restore(new URLSearchParams({ order, ...(variants && { variants: "on" }) }));
  apply();
}

// What the address asks for: a view, or one clip, which is shown whatever the filters say.
function follow() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (!wanted || wanted.startsWith("?")) {
    restore(new URLSearchParams(location.hash.slice(2)));
    apply();
    return;
  }
  apply();
  if (byName.has(wanted)) lookAt(byName.get(wanted));
  else say(`${wanted} is not on this page.`);
}

function lookAt(clip) {
  if (clip.card.hidden) {
    clearFilters();
    say(`Filters are cleared: they had hidden ${clip.facts.name}.`);
  }
  document.querySelector(".looked-at")?.classList.remove("looked-at");
  clip.card.classList.add("looked-at");
  goTo(clip.card);
}

// Cards above take their true heights only while they come into the window, so that one has to look again for a moment.
function goTo(card) {
  const until = performance.now() + 700;
  const asked = new AbortController();
  ["wheel", "pointerdown", "keydown"].forEach((kind) => addEventListener(kind, () => asked.abort(), { signal: asked.signal }));
  card.focus({ preventScroll: true });
  (function settle() {
    if (asked.signal.aborted) return;
    card.scrollIntoView({ block: "start" });
    if (performance.now() < until) requestAnimationFrame(settle);
    else asked.abort();
  })();
}

form.addEventListener("input", () => { apply(); remember(); });
form.addEventListener("submit", (event) => event.preventDefault());
document.querySelectorAll(".clear").forEach((button) => {
  button.addEventListener("click", () => { clearFilters(); remember(); });
});
