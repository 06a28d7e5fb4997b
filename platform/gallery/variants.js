// Variants of one input, side by side: the input once, then each one's card made small, with what is different named.

class Group {
  constructor(members) {
    this.members = members;
    this.element = document.querySelector(".group-form").content.firstElementChild.cloneNode(true);
    const medias = members.map((clip) => clip.media);
    const shared = this.sharedTile();
    if (shared) medias.push(shared);
    if (!medias.some((media) => media.places.length)) this.element.querySelector(".transport").remove();
    this.playback = new Playback(this.element, medias, members[0].playback.fps);
  }

  sharedTile() {
    const tile = this.members.map((clip) => clip.card.querySelector(".tile")).find(Boolean);
    if (!tile) return null;
    const copy = this.element.querySelector(".shared");
    copy.replaceChildren(...tile.cloneNode(true).children);
    copy.querySelector("video")?.remove(); // the tile's own
    const button = copy.querySelector(".against");
    button?.replaceWith(button.textContent);
    const media = new Media(copy);
    mediaOf.set(copy, media);
    return media;
  }
  gather(ordered) {
    this.element.querySelector(".side-by-side").append(...ordered.map((clip) => clip.card));
    ordered.forEach((clip) => clip.comparison?.moveTo(0)); // the input is beside them as a whole
    this.playback.take();
  }
  showIfAny() {
    const all = this.members.length;
    const shown = this.members.filter((clip) => !clip.card.hidden).length;
    this.element.hidden = !shown;
    this.element.querySelector("h2").textContent = `${shown === all ? all : `${shown} of ${all}`} variants of one input`;
  }
}

const groups = new Map(); // by number, made when they are first asked for

function groupOf(clip) {
  const number = clip.facts.group;
  if (!groups.has(number)) groups.set(number, new Group(clips.filter((other) => other.facts.group === number)));
  return groups.get(number);
}

function alone(clip) {
  if (clip.media.playback !== clip.playback) clip.comparison?.moveTo(50);
  clip.playback.take();
  return clip.card;
}

// The elements of the page for clips in this order: a group stands where its first one would.
function arranged(ordered, asVariants) {
  const members = new Map();
  const elements = ordered.map((clip) => {
    if (!asVariants || clip.facts.group === null) return alone(clip);
    const group = groupOf(clip);
    if (!members.has(group)) members.set(group, []);
    members.get(group).push(clip);
    return group.element;
  });
  members.forEach((some, group) => group.gather(some));
  return [...new Set(elements)];
}
