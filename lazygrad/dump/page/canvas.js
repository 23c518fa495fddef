/* A picture that can be moved and zoomed: by wheel, drag, two fingers, buttons and keys. */

const READABLE = 0.6; // the scale below which text cannot be read: pictures do not begin smaller
const LARGEST = 4;

class Canvas {
  constructor(isSmall = false) {
    this.layer = svgElement("g");
    this.picture = svgElement("svg", { role: "img", "aria-label": "graph" }, this.layer);
    this.element = element("div", { class: `picture${isSmall ? " small" : ""}` }, this.picture);
    this.at = { x: 0, y: 0, scale: 1 };
    this.size = { width: 1, height: 1 };
    this.focus = null; // what is in the middle where not all fits: the first box
    this.room = { width: 0, height: 0 }; // of the element, when it was last seen
    this.fitted = READABLE; // the least scale that fit() was asked for; null once it was moved
    this.pointers = new Map();
    this.picture.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.picture.addEventListener("pointerdown", (event) => this.press(event));
    this.picture.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) {
      this.picture.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
  }

  /** The element has another size: fit again, or keep the middle of a picture that was moved. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    const wider = (width - this.room.width) / 2, higher = (height - this.room.height) / 2;
    this.room = { width, height };
    if (this.fitted !== null) this.fit(this.fitted);
    else this.move({ ...this.at, x: this.at.x + wider, y: this.at.y + higher });
  }

  /** Show all of the picture, or as much of its top as can be read. */
  fit(least = READABLE) {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    const whole = Math.min(width / (this.size.width + 24), height / (this.size.height + 24));
    const scale = Math.min(1.1, Math.max(whole, least));
    const wide = this.size.width * scale;
    const isWhole = wide <= width || this.focus === null;
    const x = isWhole ? (width - wide) / 2 : Math.min(12, Math.max(width - wide - 12, width / 2 - this.focus * scale));
    const y = Math.max(12, (height - this.size.height * scale) / 2);
    this.move({ x, y: this.size.height * scale > height ? 12 : y, scale });
    this.fitted = least;
  }

  move(at) {
    this.at = at;
    this.fitted = null;
    this.layer.setAttribute("transform", `translate(${at.x} ${at.y}) scale(${at.scale})`);
  }

  /** Zoom so that the point (x, y) of the screen stays where it is. */
  zoom(factor, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const { at } = this;
    const scale = Math.min(LARGEST, Math.max(0.05, at.scale * factor));
    const by = scale / at.scale;
    this.move({ x: x - (x - at.x) * by, y: y - (y - at.y) * by, scale });
  }

  /** Bring a box to the middle. */
  center(box) {
    const scale = Math.max(this.at.scale, READABLE);
    this.move({
      x: this.element.clientWidth / 2 - (box.left + box.width / 2) * scale,
      y: this.element.clientHeight / 2 - (box.top + box.height / 2) * scale,
      scale,
    });
  }

  wheel(event) {
    event.preventDefault();
    const frame = this.element.getBoundingClientRect();
    const factor = Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016));
    this.zoom(factor, event.clientX - frame.left, event.clientY - frame.top);
  }

  press(event) {
    this.pointers.set(event.pointerId, event);
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const [first, second] = this.pointers.values();
    if (second) {
      const still = before === first ? second : first;
      const away = (point) => Math.hypot(point.clientX - still.clientX, point.clientY - still.clientY);
      const frame = this.element.getBoundingClientRect();
      const factor = away(event) / Math.max(1, away(before));
      this.zoom(factor, still.clientX - frame.left, still.clientY - frame.top);
    } else {
      const { x, y, scale } = this.at;
      this.move({ x: x + event.clientX - before.clientX, y: y + event.clientY - before.clientY, scale });
    }
    this.pointers.set(event.pointerId, event);
  }
}
