// The filters of the contact sheet; without JavaScript every scenario is shown.
"use strict";

const filters = [...document.querySelectorAll("[data-filter]")];
const scenarios = [...document.querySelectorAll(".sheet > li")];

function filter() {
  let count = 0;
  for (const card of scenarios) {
    const shown = filters.every(({ dataset, value }) => value === "" || card.dataset[dataset.filter] === value);
    card.hidden = !shown;
    count += shown;
  }
  document.querySelector("[data-count]").textContent = `${count} of ${scenarios.length} scenarios`;
}

for (const choice of filters) choice.addEventListener("change", filter);
document.documentElement.dataset.ready = "yes";
