// Docs: the language that was chosen last, and everything unfolded on paper.
const languages = document.querySelectorAll("[data-code-tabs] input");
try {
  const last = localStorage.getItem("portico-language");
  for (const input of languages) if (input.value === last) input.checked = true;
} catch {
  // Storage is forbidden: the first language shows.
}
for (const input of languages)
  input.addEventListener("change", () => {
    try {
      localStorage.setItem("portico-language", input.value);
    } catch {
      // The choice lasts as long as the page.
    }
  });

addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll(".docs details:not([open])")) {
    part.open = true;
    part.dataset.unfolded = "1";
  }
});
addEventListener("afterprint", () => {
  for (const part of document.querySelectorAll("[data-unfolded]")) {
    part.open = false;
    delete part.dataset.unfolded;
  }
});

// The operation that is shown is in sight in the contents.
const nav = document.getElementById("docs-nav");
const shown = nav?.querySelector(".docs-operations [aria-current]");
if (shown) nav.scrollTop = shown.offsetTop - nav.clientHeight / 3;
