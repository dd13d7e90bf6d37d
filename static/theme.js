// Runs before the first paint: the stored theme, and whether the navigation is folded to icons.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // Storage is forbidden: the system's theme and a wide navigation.
    }
  };
  const apply = () => {
    const choice = stored("portico-theme");
    const theme = choice === "light" || choice === "dark" ? choice : dark.matches ? "dark" : "light";
    root.dataset.bsTheme = theme;
    root.dataset.themeChoice = choice === theme ? choice : "system";
    document.dispatchEvent(new Event("portico:theme"));
  };
  root.classList.add("js");
  root.classList.toggle("nav-icons", stored("portico-nav") === "icons");
  dark.addEventListener("change", apply);
  addEventListener("storage", (event) => event.key === "portico-theme" && apply());
  document.addEventListener("portico:theme-chosen", apply);
  apply();
})();
