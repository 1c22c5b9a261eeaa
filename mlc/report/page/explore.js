"use strict";
// Sorts tables and moves thresholds. Written without the two letters that XML reserves.

const number = text => {
  const start = text.replaceAll(",", "").match(/^[+-]?\d[\d.]*(e[+-]?\d+)?/);
  return start ? Number(start[0]) : null;
};

const compare = (one, other, sign) => {
  const [a, b] = [number(one), number(other)];
  if (a === null ? b === null : false) return sign * one.localeCompare(other);
  if (a === null) return 1; // what is not defined comes last, either way
  return b === null ? -1 : sign * (a - b);
};

for (const table of document.querySelectorAll("table.sortable")) {
  const [heads, body] = [[...table.tHead.rows[0].cells], table.tBodies[0]];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const text = column === 0;
      const before = head.getAttribute("aria-sort");
      const rising = before ? before === "descending" : text;
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const value = row => row.cells[column].textContent;
      const sign = rising ? 1 : -1;
      const order = (a, b) => text
        ? sign * value(a).localeCompare(value(b)) : compare(value(a), value(b), sign);
      body.append(...[...body.rows].sort(order));
    });
  });
}

const chosen = new Map();
const yaml = document.querySelector("#thresholds-yaml");

const writeYaml = () => {
  const lines = [...chosen].map(([label, value]) => `    ${JSON.stringify(label)}: ${value}`);
  yaml.value = lines.length ? ["thresholds:", "  per_label:", ...lines, ""].join("\n") : "";
};

const percent = (part, whole) => whole ? `${(100 * part / whole).toFixed(1)}%` : "-";
const rounded = value => value === "never" ? value : String(Number(Number(value).toPrecision(3)));

for (const explorer of document.querySelectorAll(".explorer")) {
  const data = explorer.dataset;
  const [slider, output] = [explorer.querySelector("input"), explorer.querySelector("output")];
  const thresholds = data.thresholds.split(" ");
  const series = name => data[name].split(" ").map(Number);
  const splits = ["validation", "test"].map((split, at) => ({
    yes: series(`${split}Yes`), hits: series(`${split}Hits`),
    known: Number(data[`${split}Known`]), positives: Number(data[`${split}Positives`]),
    cells: explorer.querySelectorAll("tbody tr")[at].cells,
  }));
  const show = () => {
    const at = Number(slider.value);
    output.value = rounded(thresholds[at]);
    for (const split of splits) {
      const [yes, hits] = [split.yes[at], split.hits[at]];
      const texts = [yes.toLocaleString("en"), percent(yes, split.known), percent(hits, yes),
        percent(hits, split.positives)];
      texts.forEach((text, column) => { split.cells[column + 1].textContent = text; });
    }
    const expected = [...splits[0].cells].slice(1).map(cell => cell.textContent);
    slider.setAttribute("aria-valuetext", `${rounded(thresholds[at])}: ${expected[0]} decided yes, `
      + `precision ${expected[2]}, recall ${expected[3]}`);
  };
  slider.addEventListener("input", () => {
    show();
    chosen.set(data.label, thresholds[Number(slider.value)]);
    writeYaml();
  });
  show();
}

// The gains of the label that is chosen.
const select = document.querySelector("#gains-label");
if (select) {
  const line = document.querySelector("#gains .colour-0 polyline");
  const places = line.getAttribute("points").split(" ").map(place => place.split(",").map(Number));
  const [bottom, top] = [places[0][1], places[places.length - 1][1]];
  select.addEventListener("change", () => {
    const gains = select.selectedOptions[0].dataset.gains.split(" ").map(Number);
    line.setAttribute("points",
      places.map(([across], at) => `${across},${bottom + gains[at] * (top - bottom)}`).join(" "));
    const at = share => `${(100 * gains[Math.round(share * (gains.length - 1))]).toFixed(0)}%`;
    document.querySelector("#gains-text").textContent = "The 10% with the highest scores hold "
      + `${at(0.1)} of the positives, the first 20% hold ${at(0.2)}.`;
  });
}

const copy = document.querySelector("#copy-thresholds");
if (copy) {
  copy.addEventListener("click", async () => {
    yaml.select();
    try {
      await navigator.clipboard.writeText(yaml.value);
    } catch {
      document.execCommand("copy"); // where a page from disk may not reach the clipboard
    }
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy YAML"; }, 1500);
  });
}

// Paper cannot be unfolded; of a label, it has what its card shows.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open]):not(.label details)")];
  folded.forEach(each => { each.open = true; });
});
addEventListener("afterprint", () => folded.forEach(each => { each.open = false; }));
