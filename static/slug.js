// A slug follows the name until somebody writes one. The server does the same with an empty one.
for (const slug of document.querySelectorAll("[data-slug-of]")) {
  const name = slug.form.elements[slug.dataset.slugOf];
  let own = slug.value !== "";
  slug.addEventListener("input", () => (own = slug.value !== ""));
  const follow = () => {
    if (own) return;
    slug.value = name.value
      .normalize("NFKD")
      .replace(/[^\x00-\x7f]/g, "")
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 50)
      .replace(/-+$/, "");
    const path = slug.form.elements.path;
    if (path) path.placeholder = `/${slug.value || "slug"}/${slug.form.elements.version.value || "v1"}`;
  };
  name.addEventListener("input", follow);
}
