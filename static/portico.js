// What every page gets from scripts. Each part improves something that works without it.
const own = document.currentScript;
const announce = (text) => {
  document.querySelector("[data-announce]").textContent = text;
};
const remember = (name, value) => {
  try {
    value === null ? localStorage.removeItem(name) : localStorage.setItem(name, value);
  } catch {
    // Storage is forbidden: the choice lasts as long as the page.
  }
};

// Theme and folded navigation; theme.js applies both before the next page is painted.
const root = document.documentElement;
const showChoices = () => {
  for (const button of document.querySelectorAll("[data-theme-choose]"))
    button.setAttribute("aria-pressed", button.dataset.themeChoose === root.dataset.themeChoice);
  document.querySelector("[data-nav-fold]")?.setAttribute("aria-pressed", root.classList.contains("nav-icons"));
};
document.addEventListener("portico:theme", showChoices);
showChoices();

document.addEventListener("click", (event) => {
  const choose = event.target.closest("[data-theme-choose]");
  if (choose) {
    remember("portico-theme", choose.dataset.themeChoose === "system" ? null : choose.dataset.themeChoose);
    document.dispatchEvent(new Event("portico:theme-chosen"));
  }
  if (event.target.closest("[data-nav-fold]")) {
    remember("portico-nav", root.classList.toggle("nav-icons") ? "icons" : null);
    showChoices();
    dispatchEvent(new Event("resize"));
  }
  for (const menu of document.querySelectorAll("[data-menu][open]"))
    if (!menu.contains(event.target)) menu.open = false;
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("[data-menu][open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

async function copy(button) {
  const label = button.querySelector("[data-copy-label]");
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    // Plain http on another host has no clipboard: an old way that works from a click.
    const area = Object.assign(document.createElement("textarea"), { value: button.dataset.copy, className: "visually-hidden" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) return announce("The browser refused to copy. Select the text and copy it by hand.");
  }
  announce("");
  requestAnimationFrame(() => announce(button.dataset.copied));
  if (!label || button.classList.contains("copy-done")) return;
  const before = label.textContent;
  label.textContent = "Copied";
  button.classList.add("copy-done");
  setTimeout(() => {
    label.textContent = before;
    button.classList.remove("copy-done");
  }, 2000);
}

// Times on hover: the reader's own zone, and UTC.
const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const localise = (scope) => {
  for (const time of scope.querySelectorAll("time[datetime][title$='UTC']"))
    time.title = `${local.format(new Date(time.dateTime))} (${time.title})`;
};
localise(document);

// Where the tabs are wider than the window, the open one is in sight.
for (const open of document.querySelectorAll(".tabs [aria-current]")) {
  const tabs = open.closest(".tabs");
  tabs.scrollLeft = open.offsetLeft + open.offsetWidth / 2 - tabs.clientWidth / 2;
}

// A form is sent once, and what was typed is not lost by accident.
const choiceChanged = (field) => {
  const options = [...field.options];
  const marked = options.filter((option) => option.defaultSelected);
  const before = marked.length || field.multiple ? marked : options.slice(0, 1);
  return options.some((option) => option.selected !== before.includes(option));
};
const changed = (form) =>
  [...form.elements].filter((field) => {
    if (!field.name || field.type === "hidden" || field.type === "submit") return false;
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.options) return choiceChanged(field);
    return field.value !== field.defaultValue;
  });
const words = (field) => {
  const label = field.labels?.[0]?.cloneNode(true);
  label?.querySelector(".field-optional")?.remove();
  return (label ?? { textContent: field.name }).textContent.trim();
};
const say = (bar) => {
  const names = [...new Set(changed(bar.closest("form")).map(words))];
  const shown = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
  bar.querySelector("[data-changes]").textContent = names.length ? `Not saved: ${shown.join(", ")}` : "";
};
document.addEventListener("input", (event) => {
  const bar = event.target.form?.querySelector("[data-save-bar]");
  if (bar) say(bar);
  confirmFits(event.target.form);
});
const confirmFits = (form) => {
  if (!form?.dataset.confirm) return;
  const typed = form.querySelector("[data-typed]").value.trim();
  form.querySelector("[type=submit]").disabled = typed !== form.dataset.confirm;
};
document.querySelectorAll("form[data-confirm]").forEach(confirmFits);

let sending = false;
addEventListener("beforeunload", (event) => {
  const forms = [...document.querySelectorAll("[data-save-bar]")].map((bar) => bar.closest("form"));
  if (!sending && forms.some((form) => changed(form).length)) event.preventDefault();
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || form.target) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  sending = true;
  form.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", () => {
  // Coming back by the browser's button: the form may be sent again.
  sending = false;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  }
});

// Fragments that refresh themselves: not in a hidden tab, not after they are done; a sign-in page never lands in them.
document.addEventListener("htmx:before:request", (event) => {
  const part = event.target.closest?.("[data-poll]");
  if (part && (document.hidden || part.querySelector("[data-poll-done]"))) event.preventDefault();
});
document.addEventListener("htmx:before:response", (event) => {
  if (!event.detail.ctx.response.raw.redirected) return;
  event.preventDefault();
  location.reload();
});
document.addEventListener("htmx:after:swap", () => {
  localise(document);
  charts();
});

// Charts come with a megabyte of scripts, so only pages that have one ask for them.
function charts() {
  if (!document.querySelector("[data-chart]") || document.querySelector("script[data-charts-asked]")) return;
  for (const address of [own.dataset.echarts, own.dataset.charts]) {
    const script = Object.assign(document.createElement("script"), { src: address, async: false, nonce: own.nonce });
    script.dataset.chartsAsked = "1";
    document.head.append(script);
  }
}
charts();
