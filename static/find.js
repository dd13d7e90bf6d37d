// The palette. Its results are those of the page that its form leads to, so there is one way to find things.
{
  const dialog = document.querySelector("[data-find]");
  // As in portal/web/find.py: the part of a key, or of another token of ours, that may leave the browser.
  const SECRET = /(?:p(?:c[ob]|pt)_[0-9A-Za-z]{12}|pcc_[0-9]+)[_:]?/;
  const withoutSecret = (text) => SECRET.exec(text)?.[0] ?? text;

  // A whole key never gets into an address: not of the palette, nor of another form that looks for something.
  document.addEventListener(
    "submit",
    (event) => {
      // A form may have a field called method, which would stand in the way of `form.method`.
      if (event.target.getAttribute("method")?.toLowerCase() === "post") return;
      for (const field of event.target.elements)
        if (field.matches("input:not([type=hidden])") && withoutSecret(field.value) !== field.value)
          field.value = withoutSecret(field.value);
    },
    true,
  );

  if (dialog) {
    const field = dialog.querySelector("[role=combobox]");
    const list = dialog.querySelector("[role=listbox]");
    const about = dialog.querySelector("[data-find-about]");
    const said = dialog.querySelector("[data-find-said]");
    let shown = null; // what the list is of
    let active = null;
    let request = null;
    let timer = 0;
    let wasCut = false; // a whole key was put in
    const typed = () => field.value.trim();

    const choose = (option) => {
      active?.setAttribute("aria-selected", "false");
      active = option ?? null;
      active?.setAttribute("aria-selected", "true");
      active?.scrollIntoView({ block: "nearest" });
      if (active) field.setAttribute("aria-activedescendant", active.id);
      else field.removeAttribute("aria-activedescendant");
    };
    const show = (part, text) => {
      const of = (name) => part.querySelector(`[data-find-${name}]`);
      list.replaceChildren(...of("results").children);
      about.replaceChildren(...of("about").children);
      shown = text;
      const options = list.querySelectorAll("[role=option]");
      list.hidden = !options.length;
      field.setAttribute("aria-expanded", String(options.length > 0));
      choose(options[0]);
      list.scrollTop = 0;
      said.textContent = of("said").textContent;
    };
    const tell = (sentence) => {
      const note = Object.assign(document.createElement("p"), { textContent: sentence });
      list.replaceChildren();
      list.hidden = true;
      field.setAttribute("aria-expanded", "false");
      choose(null);
      about.replaceChildren(note);
      said.textContent = sentence;
    };

    const ask = async () => {
      clearTimeout(timer);
      request?.abort();
      const mine = (request = new AbortController());
      const text = typed();
      try {
        const answer = await fetch(`${field.form.action}?q=${encodeURIComponent(text)}${wasCut ? "&cut=1" : ""}`, {
          headers: { "HX-Request": "true" },
          signal: mine.signal,
        });
        if (answer.status === 401) return location.reload(); // signed out meanwhile
        if (answer.status === 429) {
          timer = setTimeout(ask, 1000 * (Number(answer.headers.get("Retry-After")) || 1));
          return;
        }
        if (!answer.ok) return tell("The portal could not look for it. Press Enter to open the page instead.");
        const part = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (request === mine) show(part, text);
      } catch (error) {
        if (error.name !== "AbortError") tell("The portal does not answer. Press Enter to try again.");
      }
    };

    const open = () => {
      if (dialog.open) return dialog.close();
      document.querySelector("[popover]:popover-open")?.hidePopover();
      wasCut = false;
      dialog.showModal();
      field.focus();
      field.select();
      ask();
    };

    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      event.preventDefault();
      open();
    });
    for (const opener of document.querySelectorAll("[data-find-open]"))
      opener.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return; // its page, in another tab
        event.preventDefault();
        open();
      });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-find-close]")) dialog.close();
    });
    addEventListener("pagehide", () => dialog.close());

    field.addEventListener("input", () => {
      const text = withoutSecret(field.value);
      const rest = field.value.slice(field.value.indexOf(text) + text.length).trim();
      if (rest) wasCut = true;
      else if (!SECRET.test(field.value)) wasCut = false;
      if (text !== field.value) field.value = text;
      clearTimeout(timer);
      timer = setTimeout(ask, 120);
    });
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      const options = [...list.querySelectorAll("[role=option]")];
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && options.length) {
        event.preventDefault();
        choose(options[(options.indexOf(active) + step + options.length) % options.length]);
      }
      // Of older results nothing is opened: then the form leads to the page with those of what is typed now.
      if (event.key === "Enter" && active && shown === typed()) {
        event.preventDefault();
        active.click();
      }
    });
    list.addEventListener("mousemove", (event) => {
      const option = event.target.closest("[role=option]");
      if (option && option !== active) choose(option);
    });
    if (/Mac|iP/.test(navigator.platform))
      for (const key of document.querySelectorAll("[data-find-key]")) key.textContent = "⌘K";
  }
}
