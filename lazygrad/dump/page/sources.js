/* The user's files. A line with nodes can be chosen; its bar is its share of the time. */

class SourcePane {
  constructor(compilation, about) {
    this.compilation = compilation;
    this.about = about;
    const used = new Set([...compilation.lines.keys()].map((key) => Number(key.split(":")[0])));
    this.files = [...used].filter((file) => about.files[file].text).sort((a, b) => this.weight(b) - this.weight(a));
    this.tabs = element("div", { class: "bar-top" });
    this.body = element("div", {});
    this.element = element("section", { class: "column", "aria-label": "source" }, this.tabs, this.body);
    this.open(this.files[0]);
  }

  /** How much of a file is seen in the compilation. */
  weight(file) {
    let nodes = 0;
    for (const [key, line] of this.compilation.lines) {
      if (key.startsWith(`${file}:`)) nodes += line.nodes.size;
    }
    return nodes;
  }

  open(file) {
    this.file = file;
    this.rows = new Map();
    if (file === undefined) {
      const why = "No line of a program is known for this compilation.";
      this.body.replaceChildren(element("p", { class: "detail faint" }, why));
      return;
    }
    const buttons = this.files.map((each) =>
      toggle(baseName(this.about.files[each].path), each === file, () => this.open(each), this.about.files[each].path));
    this.tabs.replaceChildren(...buttons);
    const most = Math.max(1e-12, ...[...this.compilation.lines.values()].map((line) => line.seconds));
    const lines = this.about.files[file].text.replace(/\n$/, "").split("\n");
    const shown = lines.map((text, n) => {
      const key = `${file}:${n + 1}`;
      const known = this.compilation.lines.get(key);
      const share = known ? known.seconds / most : 0;
      const note = known && known.seconds > 0 ? secondsText(known.seconds) : "";
      const row = element("div", { class: `row${known ? " known" : ""}` },
        element("i", {}, String(n + 1)),
        element("b", { class: share > 0 ? "bar" : null, style: `--share:${100 * share}%` }, note), text || " ");
      if (known) {
        row.title = `${counted(known.nodes.size, "node")}, ${counted(known.kernels.size, "kernel")}`;
        row.dataset.line = key;
        clickable(row, () => choose({ line: key }));
        this.rows.set(key, row);
      }
      return row;
    });
    this.body.replaceChildren(element("pre", { class: "source" }, shown));
    this.mark(this.lit ?? new Set(), this.chosen);
  }

  /** The line of the open file that takes most time. */
  costliest() {
    const seconds = (key) => this.compilation.lines.get(key).seconds;
    return [...this.rows.keys()].reduce((best, key) => (best === undefined || seconds(key) > seconds(best) ? key : best), undefined);
  }

  /** Mark lines; the chosen one, or else the first, is scrolled to; at first the costliest. */
  mark(lit, chosen) {
    [this.lit, this.chosen] = [lit, chosen];
    const first = chosen ?? [...lit][0];
    const file = first === undefined ? undefined : Number(first.split(":")[0]);
    if (file !== undefined && file !== this.file && this.files.includes(file)) return this.open(file);
    for (const [key, row] of this.rows) {
      row.classList.toggle("lit", lit.has(key));
      row.classList.toggle("chosen", key === chosen);
    }
    const row = this.rows.get(first ?? (this.wasShown ? undefined : this.costliest()));
    this.wasShown = this.element?.isConnected;
    if (row && !isVisible(row)) row.scrollIntoView({ block: "center" });
  }
}

function isVisible(row) {
  const frame = row.closest(".column").getBoundingClientRect();
  const { top, bottom } = row.getBoundingClientRect();
  return top >= frame.top && bottom <= frame.bottom;
}

/** The keys of the lines that origins are on. */
function linesOfOrigins(about, origins) {
  return new Set(origins.map((origin) => `${about.origins[origin].file}:${about.origins[origin].line}`));
}

/** Links to the lines that something comes from. */
function originLinks(compilation, origins) {
  const { about } = compilation;
  return origins.map((origin) => {
    const { file, line, layers, function: inside } = about.origins[origin];
    const text = about.files[file].text.split("\n")[line - 1]?.trim() ?? "";
    const where = layers.length ? `  in ${layers.join(" / ")}` : inside === "<module>" ? "" : `  in ${inside}`;
    const link = element("a", { href: "#", title: text }, originText(about, origin));
    clickable(link, (event) => {
      event.preventDefault();
      choose({ line: `${file}:${line}` });
    });
    return element("div", {}, link, element("span", { class: "faint" }, where, " "), element("code", {}, text));
  });
}
