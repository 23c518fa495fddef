/* Folding: boxes are put into groups, and groups into groups. What is folded is one box.

   A box is { id, lines, fill, path, signature, ... }; its path names the groups that it is in, the
   outermost first, as { key, label }. */

const MANY = 120; // children of a group above which runs of them are groups of their own
const RUN = 40; // the length of such a run
const OPEN = 44; // boxes that a picture begins with at most

class Group {
  constructor(label, parent) {
    Object.assign(this, { label, parent, children: [], byKey: new Map(), isOpen: false, copies: 0 });
  }

  /** The group's group of that key; a new one if need be. */
  inner({ key, label }) {
    if (!this.byKey.has(key)) {
      const made = new Group(label, this);
      this.byKey.set(key, made);
      this.children.push(made);
    }
    return this.byKey.get(key);
  }

  get leaves() {
    return this.children.flatMap((child) => (child instanceof Group ? child.leaves : [child]));
  }

  /** Of equal groups this is equal. */
  get signature() {
    return kept(this, "signature", this.children.map((child) => child.signature).join(";"));
  }
}

/** The boxes as a tree of groups, with as many groups open as there is room for. */
function folded(boxes, edges, room = OPEN) {
  const root = new Group("", null);
  root.isOpen = true;
  const paths = connectedPaths(boxes, edges);
  boxes.forEach((box, n) => {
    const group = paths[n].reduce((outer, part) => outer.inner(part), root);
    group.children.push(box);
  });
  tidied(root);
  openSome(root, room);
  return root;
}

/** The boxes' paths, in which groups of one name that no edge connects are told apart: the calls
    of one layer, or the updates of several weights. Groups of a part of training stay whole. */
function connectedPaths(boxes, edges) {
  const number = new Map(boxes.map((box, n) => [box, n]));
  const pairs = edges.map(([a, b]) => [number.get(a), number.get(b)]);
  const paths = boxes.map((box) => box.path.slice());
  const ways = boxes.map(() => ""); // of each box the groups so far
  const deepest = Math.max(0, ...paths.map((path) => path.length));
  for (let depth = 0; depth < deepest; depth++) {
    const own = paths.map((path, n) => (path[depth] ? `${ways[n]}/${path[depth].key}` : null));
    const first = components(own, pairs);
    const counts = new Map();
    const numbers = new Map();
    own.forEach((way, n) => {
      if (way === null || paths[n][depth].isWhole) return;
      if (numbers.has(first[n])) return;
      counts.set(way, (counts.get(way) ?? 0) + 1);
      numbers.set(first[n], counts.get(way));
    });
    own.forEach((way, n) => {
      if (way === null) return;
      const { key, label, isWhole } = paths[n][depth];
      const which = isWhole ? 1 : numbers.get(first[n]);
      if (!isWhole) paths[n][depth] = { key: `${key} ${which}`, label: counts.get(way) > 1 ? `${label} #${which}` : label };
      ways[n] = `${way} ${which}`;
    });
  }
  return paths;
}

/** For each box the first box that is connected with it by boxes of the same name. */
function components(names, pairs) {
  const above = names.map((_, n) => n);
  const first = (n) => {
    while (above[n] !== n) n = above[n] = above[above[n]];
    return n;
  };
  for (const [a, b] of pairs) {
    if (names[a] === null || names[a] !== names[b]) continue;
    const [low, high] = [first(a), first(b)].sort((x, y) => x - y);
    above[high] = low;
  }
  return names.map((_, n) => first(n));
}

/** Leave out groups of one child, show repeated ones once, and part what has too many children. */
function tidied(group) {
  group.children = group.children.map((child) => {
    if (!(child instanceof Group)) return child;
    tidied(child);
    if (child.children.length > 1) return child;
    const [only] = child.children;
    if (only instanceof Group && only.label !== child.label) only.label = `${child.label} / ${only.label}`;
    return only;
  });
  group.children = inRuns(repeatsOnce(group.children));
  for (const child of group.children) child.parent = group;
}

/** Neighbouring groups that are equal become one group, that says how many there are. */
function repeatsOnce(children) {
  const alike = new Map();
  for (const child of children) {
    if (!(child instanceof Group) || child.leaves.length < 3) continue;
    const key = child.signature;
    alike.set(key, [...(alike.get(key) ?? []), child]);
  }
  const owner = new Map();
  for (const same of alike.values()) {
    if (same.length < 2) continue;
    const made = new Group(`${same[0].label} …`, null);
    made.children = same;
    made.copies = same.length;
    for (const child of same) {
      owner.set(child, made);
      child.parent = made;
    }
  }
  return [...new Set(children.map((child) => owner.get(child) ?? child))];
}

function inRuns(children) {
  if (children.length <= MANY) return children;
  const runs = [];
  for (let start = 0; start < children.length; start += RUN) {
    const part = children.slice(start, start + RUN);
    const made = new Group(`${start + 1} to ${start + part.length}`, null);
    made.children = part;
    for (const child of part) child.parent = made;
    runs.push(made);
  }
  return inRuns(runs);
}

/** Open groups from the outside in, while there is room; one that is all there is in any case. */
function openSome(root, room) {
  let shown = root.children.length;
  const waiting = [...root.children];
  while (waiting.length) {
    const group = waiting.shift();
    if (!(group instanceof Group)) continue;
    const added = group.children.length - 1;
    if (group.copies || (shown + added > room && shown > 1)) continue;
    group.isOpen = true;
    shown += added;
    waiting.push(...group.children);
  }
}

/** Fold or open all groups. */
function setAll(group, isOpen) {
  for (const child of group.children) {
    if (child instanceof Group) {
      child.isOpen = isOpen;
      setAll(child, isOpen);
    }
  }
}

/** Open all groups around a box. */
function reveal(box) {
  for (let group = box.parent; group; group = group.parent) group.isOpen = true;
}

/** For each box what is shown of it: itself, or the outermost folded group that it is in. */
function representatives(root) {
  const shown = new Map();
  const visit = (item, folded) => {
    if (!(item instanceof Group)) {
      shown.set(item, folded ?? item);
      return;
    }
    const own = folded ?? (item.isOpen ? null : item);
    for (const child of item.children) visit(child, own);
  };
  visit(root, null);
  return shown;
}
