// Ages and clocks of pages that show traffic. Without scripts they stand still, in UTC.
(() => {
  const LATE = 45;
  const shown = (seconds) => (seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`);
  const arrived = new WeakMap();

  // "Updated 4 s ago": counts up between refreshes, and tells when they stop coming.
  function count() {
    for (const part of document.querySelectorAll("[data-fresh]")) {
      // The age counts from when the page got it: the clocks of the two machines need not agree.
      const known = arrived.get(part);
      if (known?.moment !== part.dataset.fresh) arrived.set(part, { moment: part.dataset.fresh, at: Date.now() });
      const seconds = Math.floor((Date.now() - arrived.get(part).at) / 1000);
      part.classList.toggle("fresh-late", seconds > LATE);
      part.querySelector("[data-fresh-words]").textContent = seconds < 2 ? "Updated just now" : `Updated ${shown(seconds)} ago`;
    }
  }

  // Clocks in the reader's own zone; the day only where it is not today.
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { day: "2-digit", month: "short" });
  function localise() {
    const today = day.format(new Date());
    for (const time of document.querySelectorAll("time[data-clock]")) {
      const moment = new Date(time.dateTime);
      const date = day.format(moment);
      time.textContent = date === today ? clock.format(moment) : `${date} ${clock.format(moment)}`;
    }
    for (const head of document.querySelectorAll("[data-zone]")) head.textContent = "Time";
  }

  // A table that somebody opened stays open while the numbers in it change.
  let open = [];
  document.addEventListener("htmx:before:swap", () => {
    open = [...document.querySelectorAll("[data-poll] figure[id] details[open]")].map((part) => part.closest("figure").id);
  });

  count();
  localise();
  setInterval(count, 1000);
  document.addEventListener("htmx:after:swap", () => {
    for (const id of open) document.querySelector(`#${CSS.escape(id)} details`)?.setAttribute("open", "");
    count();
    localise();
  });
})();
