// The page's address: #?words=rain&order=time is the view, so that a link shows the same; #NAME leads to one clip.

const byName = new Map([...clips].reverse().map((clip) => [clip.facts.name, clip])); // of two the first

function remember() {
  const given = new URLSearchParams([...new FormData(form)].filter(([, value]) => value)).toString();
  const address = location.href.split("#")[0];
  history.replaceState(null, "", given ? `${address}#?${given}` : address);
}

// What the address asks for: a view, or one clip, which is shown whatever the filters say.
function follow() {
  const wanted = location.hash.slice(1); // names are made of what needs no quoting
  if (!wanted || wanted.startsWith("?")) {
    fill(new URLSearchParams(location.hash.slice(2)));
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
  const { signal } = asked;
  ["wheel", "pointerdown", "keydown"].forEach((kind) => addEventListener(kind, () => asked.abort(), { signal }));
  card.focus({ preventScroll: true });
  (function settle() {
    if (signal.aborted) return;
    card.scrollIntoView({ block: "start" });
    if (performance.now() < until) requestAnimationFrame(settle);
    else asked.abort();
  })();
}

form.addEventListener("input", () => { apply(); remember(); });
document.querySelectorAll(".clear").forEach((button) => {
  button.addEventListener("click", () => { clearFilters(); remember(); });
});
addEventListener("hashchange", follow);
