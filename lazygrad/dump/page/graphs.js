/* Graphs: nodes of a stage, kernels of a schedule, and the nodes inside of a kernel. */

const CHARACTER = 6.65; // the width of one, in points
const LINE = 13.5; // the height of a line of text
const LONGEST = 46; // characters of a line in a box
const FRAME = { top: 24, side: 10, bottom: 10 };

/** The ways to fold a graph of nodes: what each calls the groups that a node is in. */
const FOLDS = { layer: "by layer", operation: "by operation", kernel: "by kernel", none: "not" };

class GraphView {
  /** `boxes` as fold.js has them; `edges` are pairs of them. */
  constructor(boxes, edges, { isSmall, room } = {}) {
    this.boxes = boxes;
    this.edges = edges;
    this.canvas = new Canvas(isSmall);
    this.element = this.canvas.element;
    this.root = folded(boxes, edges, room);
    this.matches = [];
    new ResizeObserver(() => this.resize()).observe(this.element);
  }

  /** Large graphs are laid out when they are first seen. */
  resize() {
    if (!this.element.clientWidth) return;
    if (!this.isDrawn) this.draw();
    this.canvas.resize();
  }

  // ------------------------------------------------------------------ layout

  /** Lay out what is shown now, and draw it. */
  draw() {
    this.isDrawn = true;
    const shown = representatives(this.root);
    const pairs = this.shownEdges(shown);
    this.arrange(this.root);
    this.drawn = new Map();
    const frames = [], boxes = [];
    this.collect(this.root, 0, 0, frames, boxes);
    const lines = pairs.map((pair) => this.edge(pair));
    this.canvas.size = { width: this.root.width, height: this.root.height };
    const first = [...this.drawn.keys()].reduce((a, b) => (b.top < a.top ? b : a), { top: Infinity });
    this.canvas.focus = first.top < Infinity ? first.left + first.width / 2 : null;
    this.canvas.layer.replaceChildren(arrowHead(), ...frames, ...lines, ...boxes);
    this.mark();
  }

  /** Each pair of shown things with an edge between, noted at the innermost group around both. */
  shownEdges(shown) {
    const levels = (item) => {
      const way = [item];
      while (way[0].parent) way.unshift(way[0].parent);
      return way;
    };
    const pairs = new Map();
    const clear = (group) => {
      group.links = [];
      for (const child of group.children) if (child instanceof Group && child.isOpen) clear(child);
    };
    clear(this.root);
    for (const [a, b] of this.edges) {
      const from = shown.get(a), to = shown.get(b);
      if (from === to || !from || !to) continue;
      if (!pairs.has(from)) pairs.set(from, new Map());
      if (pairs.get(from).has(to)) continue;
      const wayFrom = levels(from), wayTo = levels(to);
      let depth = 0;
      while (wayFrom[depth + 1] === wayTo[depth + 1]) depth++;
      const group = wayFrom[depth];
      const pair = { from, to, group, ends: [wayFrom[depth + 1], wayTo[depth + 1]] };
      pairs.get(from).set(to, pair);
      group.links.push(pair);
    }
    return [...pairs.values()].flatMap((targets) => [...targets.values()]);
  }

  /** Give a group its size, and all in it their places relative to it. */
  arrange(group) {
    for (const child of group.children) {
      if (child instanceof Group && child.isOpen) {
        const inner = this.arrange(child);
        child.width = Math.max(inner.width, child.label.length * CHARACTER) + 2 * FRAME.side;
        child.height = inner.height + FRAME.top + FRAME.bottom;
      } else {
        const lines = linesOf(child);
        child.width = Math.max(...lines.map((line) => line.length)) * CHARACTER + 16;
        child.height = lines.length * LINE + 9;
      }
    }
    const unique = new Map();
    for (const pair of group.links) {
      const [a, b] = pair.ends;
      if (!unique.has(a)) unique.set(a, new Map());
      unique.get(a).set(b, [a, b]);
    }
    const edges = [...unique.values()].flatMap((targets) => [...targets.values()]);
    const made = layered(group.children, edges);
    const routes = new Map();
    edges.forEach(([a, b], n) => {
      if (!routes.has(a)) routes.set(a, new Map());
      routes.get(a).set(b, made.routes[n]);
    });
    for (const pair of group.links) pair.route = routes.get(pair.ends[0]).get(pair.ends[1]);
    Object.assign(group, { width: made.width, height: made.height });
    return made;
  }

  /** Draw the boxes and frames in a group whose contents begin at (left, top). */
  collect(group, left, top, frames, boxes) {
    group.inside = { left, top };
    for (const child of group.children) {
      Object.assign(child, { left: left + child.x, top: top + child.y });
      if (child instanceof Group && child.isOpen) {
        frames.push(this.frame(child));
        this.collect(child, child.left + FRAME.side, child.top + FRAME.top, frames, boxes);
      } else {
        const made = this.box(child);
        this.drawn.set(child, made);
        boxes.push(made);
      }
    }
  }

  // ------------------------------------------------------------------ drawing

  frame(group) {
    const { left, top } = group;
    const text = svgElement("text", { x: left + 8, y: top + 15 }, `− ${group.label}`);
    clickable(text, () => this.setOpen(group, false));
    return svgElement("g", { class: "frame" },
      svgElement("rect", { x: left, y: top, width: group.width, height: group.height }), text);
  }

  box(item) {
    const isGroup = item instanceof Group;
    const lines = linesOf(item);
    const texts = lines.map((line, n) => {
      const at = { x: item.left + 8, y: item.top + 15 + n * LINE };
      return svgElement("text", { ...at, class: n > 0 ? "second" : null }, line);
    });
    const fill = isGroup ? (sameFill(item.leaves) ?? "group") : item.fill;
    const made = svgElement("g",
      { class: `box fill-${fill}${item.isOutput ? " output" : ""}${item.copies ? " many" : ""}`,
        "data-node": isGroup ? null : item.node, "data-kernel": isGroup ? null : item.kernel },
      svgElement("rect", { x: item.left, y: item.top, width: item.width, height: item.height }),
      svgElement("title", {}, isGroup ? "click to open" : (item.hint ?? "")), texts);
    return clickable(made, () => (isGroup ? this.setOpen(item, true) : item.act()));
  }

  edge({ from, to, group, route }) {
    const middle = (route ?? []).map(([x, y]) => [x + group.inside.left, y + group.inside.top]);
    const isDown = from.top + from.height <= to.top;
    const start = [from.left + from.width / 2, from.top + (isDown ? from.height : 0)];
    const end = [to.left + to.width / 2, to.top + (isDown ? -3 : to.height + 3)];
    const points = [start, ...middle, end];
    let path = `M${points[0].join()}`;
    for (let n = 1; n < points.length; n++) {
      const [x0, y0] = points[n - 1], [x1, y1] = points[n];
      const half = (y0 + y1) / 2;
      path += `C${x0},${half} ${x1},${half} ${x1},${y1}`;
    }
    const made = svgElement("path", { class: "edge", d: path, "marker-end": "url(#head)" });
    made.ends = [from, to];
    return made;
  }

  setOpen(group, isOpen) {
    group.isOpen = isOpen;
    const before = this.canvas.at;
    const { left, top } = group;
    this.draw();
    const by = before.scale;
    this.canvas.move({ ...before, x: before.x + (left - group.left) * by, y: before.y + (top - group.top) * by });
  }

  setAllOpen(isOpen) {
    setAll(this.root, isOpen);
    this.draw();
    this.canvas.fit(isOpen ? 0.1 : READABLE);
  }

  // ------------------------------------------------------------------ what is marked

  /** Note which boxes are lit, and which one is chosen. */
  light(isLit, isChosen) {
    this.isLit = isLit;
    this.isChosen = isChosen;
    if (this.isDrawn) this.mark();
  }

  mark() {
    for (const [item, made] of this.drawn) {
      const own = item instanceof Group ? item.leaves : [item];
      made.classList.toggle("lit", own.some((box) => this.isLit?.(box)));
      made.classList.toggle("chosen", own.some((box) => this.isChosen?.(box)));
      made.classList.toggle("found", own.some((box) => this.matches.includes(box)));
    }
    for (const line of this.canvas.layer.querySelectorAll(".edge")) {
      line.classList.toggle("lit", line.ends.some((end) => !(end instanceof Group) && this.isChosen?.(end)));
    }
  }

  /** The boxes that have a text; the first of them, or number `which`, is shown. */
  search(text, which = 0) {
    const wanted = text.trim().toLowerCase();
    this.matches = wanted ? this.boxes.filter((box) => box.words().toLowerCase().includes(wanted)) : [];
    const box = this.matches[which % Math.max(1, this.matches.length)];
    if (box) this.show(box);
    else if (this.isDrawn) this.mark();
    return this.matches.length;
  }

  /** Bring a box into view, opening what it is folded in. */
  show(box) {
    reveal(box);
    this.draw();
    this.canvas.center(box);
  }
}

function linesOf(item) {
  if (!(item instanceof Group)) return item.lines;
  const count = item.copies
    ? `${item.copies} times ${counted(item.children[0].leaves.length, "node")}`
    : counted(item.leaves.length, "node");
  return [`+ ${cut(item.label)}`, count];
}

function cut(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

function sameFill(boxes) {
  const fills = new Set(boxes.map((box) => box.fill).filter((fill) => !["view", "input"].includes(fill)));
  return fills.size === 1 ? [...fills][0] : null;
}

function arrowHead() {
  return svgElement("defs", {},
    svgElement("marker", { id: "head", markerWidth: 7, markerHeight: 7, refX: 5, refY: 3, orient: "auto" },
      svgElement("path", { class: "arrow", d: "M0,0L6,3L0,6z" })));
}

// -------------------------------------------------------------------- graphs of nodes

/** The picture of a stage that is a graph; `fold` is one of FOLDS. */
function nodeGraph(compilation, outputs, fold, isSmall, within) {
  const { nodes } = compilation;
  const numbers = within ?? compilation.reachable(outputs);
  const isShown = (n) => nodes[n].role !== "constant" && nodes[n].op !== "detach";
  const through = (n) => (nodes[n].op === "detach" ? through(nodes[n].in[0]) : n);
  const last = new Set(outputs.map(through));
  const chains = viewChains(compilation, numbers.filter(isShown), through, last);
  const boxes = new Map();
  const roles = new Set(numbers.filter(isShown).map((n) => nodes[n].role).filter((role) => role !== "input"));
  for (const n of numbers.filter((n) => isShown(n) && !chains.inside.has(n))) {
    const node = nodes[n];
    const name = node.name ? `${node.name} = ` : "";
    const own = [...(chains.before.get(n) ?? []), n];
    const text = own.map((x) => nodes[x].text).join(", ");
    boxes.set(n, {
      node: n,
      nodes: own,
      lines: [cut(node.role === "input" ? (node.name ?? (node.op === "random" ? "random" : "input")) : name + text), node.type, ...(node.notes ?? [])],
      hint: `${name}${text}\n${node.type}`,
      fill: node.isView ? "view" : node.role,
      isOutput: last.has(n),
      signature: `${node.op} ${node.type}`,
      path: pathOf(compilation, n, fold, roles.size > 1),
      words: () => [node.name, text, node.type, ...node.at.map((o) => originText(compilation.about, o))].join(" "),
      act: () => choose({ node: n }),
    });
  }
  const edges = [];
  for (const [n, box] of boxes) {
    const reads = nodes[box.nodes[0]].in.map(through);
    for (const x of reads) if (boxes.has(x)) edges.push([boxes.get(x), box]);
  }
  adoptInputs(boxes, edges);
  return new GraphView([...boxes.values()], edges, { isSmall });
}

/** Views of which only another view is a user stand in its box, as one chain: `before` has them by
    the last of the chain, `inside` all of them. */
function viewChains({ nodes }, numbers, through, last) {
  const users = new Map();
  for (const n of numbers) {
    for (const x of new Set(nodes[n].in.map(through))) users.set(x, [...(users.get(x) ?? []), n]);
  }
  const before = new Map(), inside = new Set();
  for (const n of numbers) {
    if (!nodes[n].isView) continue;
    const x = through(nodes[n].in[0]);
    const isLink = nodes[x].isView && !nodes[x].name && !last.has(x) && users.get(x)?.length === 1;
    if (!isLink) continue;
    before.set(n, [...(before.get(x) ?? []), x]);
    inside.add(x);
  }
  return { before, inside };
}

/** Inputs stand in the group of their first user. */
function adoptInputs(boxes, edges) {
  const user = new Map();
  for (const [from, to] of edges) if (!user.has(from)) user.set(from, to);
  for (const box of boxes.values()) {
    if (box.fill === "input" && user.has(box)) box.path = user.get(box).path;
  }
}

/** The groups that a node is in. */
function pathOf(compilation, n, fold, hasRoles) {
  const node = compilation.nodes[n];
  const role = hasRoles && node.role !== "input" ? [{ key: node.role, label: ROLES[node.role], isWhole: true }] : [];
  const origin = compilation.about.origins[node.at[0]];
  if (fold === "none") return [];
  if (fold === "kernel") {
    const k = compilation.kernelsOf[n][0] ?? compilation.kernelOfOrigin.get(node.at[0]);
    return k === undefined ? [] : [{ key: k, label: `${k} ${compilation.kernels[k].title}`, isWhole: true }];
  }
  if (!origin) return role;
  const line = `${baseName(compilation.about.files[origin.file].path)}:${origin.line}`;
  const operation = { key: `${origin.operation} ${line}`, label: `${origin.operation}  ${line}` };
  if (fold === "operation") return [...role, operation];
  return [...role, ...origin.layers.map((layer) => ({ key: layer, label: layer })), operation];
}

const ROLES = { forward: "forward", backward: "gradients", update: "after the gradients", input: "inputs" };

// -------------------------------------------------------------------- graphs of kernels

/** The picture of kernels: what is read from memory that no kernel writes stands in the boxes. */
function kernelGraph(compilation, kernels) {
  const writer = new Map();
  const longest = Math.max(...kernels.map((kernel) => kernel.total || 0), 1e-12);
  const boxes = kernels.map((kernel, k) => {
    for (const n of kernel.out) writer.set(n, k);
    const reads = kernel.in.filter((n) => !writer.has(n)).map((n) => compilation.nameOf(n));
    const time = kernel.total ? `${secondsText(kernel.total / Math.max(1, compilation.runs.count))}  ` : "";
    const origin = kernel.out.flatMap((n) => compilation.nodes[n].at)[0];
    const where = origin === undefined ? kernel.kind : originText(compilation.about, origin);
    return {
      kernel: k,
      lines: [cut(`${k}  ${kernel.title}`), cut(`${time}${where}`)],
      hint: `reads ${reads.join(", ") || "what kernels write"}\n` + kernel.lines.map(([line]) => line).join("\n"),
      fill: KINDS.includes(kernel.kind) ? kernel.kind : "other",
      isOutput: kernel.total > 0.5 * longest,
      signature: kernel.title,
      path: [],
      words: () => `${kernel.title} ${kernel.kind} ${where} ${kernel.lines.map(([line]) => line).join(" ")}`,
      act: () => choose(kernel.number === undefined ? { node: kernel.out[0] } : { kernel: k }),
      nodes: [...kernel.out, ...kernel.nodes],
    };
  });
  const roles = kernels.map((kernel) => compilation.nodes[kernel.out[0]].role);
  if (new Set(roles).size > 1 && kernels.length > UNGROUPED) {
    boxes.forEach((box, k) => (box.path = [{ key: roles[k], label: ROLES[roles[k]] ?? roles[k], isWhole: true }]));
  }
  const edges = [];
  kernels.forEach((kernel, k) => {
    for (const n of kernel.in) if (writer.has(n) && writer.get(n) !== k) edges.push([boxes[writer.get(n)], boxes[k]]);
  });
  return new GraphView(boxes, edges, { room: 80 });
}

const UNGROUPED = 20; // kernels up to which parts of training are not told apart
const KINDS = ["map", "row", "contraction", "winograd", "filter", "chain"];
