/* One picture without the report around it: what lazygrad.draw and Tensor.graph show. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const COMPILATION = new Compilation(DATA.compilations[0], DATA.about, 0);

/** A click says what a box stands for. */
function choose({ node, kernel }) {
  const chosen = node ?? null;
  VIEW_OF_GRAPH.light((box) => false, (box) => (chosen !== null ? box.node === chosen : box.kernel === kernel));
}

function graphOfStage() {
  const stage = COMPILATION.stages.find(({ name }) => name === DATA.stage);
  if (!stage || stage.kind === "schedule") {
    const kernels = stage?.kernels.map((each) => (typeof each === "number" ? COMPILATION.kernels[each] : each));
    return kernelGraph(COMPILATION, kernels ?? COMPILATION.kernels);
  }
  return nodeGraph(COMPILATION, stage.outputs, "layer");
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
const VIEW_OF_GRAPH = graphOfStage();
document.getElementById("view").append(VIEW_OF_GRAPH.element);
