"""Pages of docs/ that hold a section per model, each written when that model is measured."""
import re


def replace_section(page, head, title, section):
    """Puts `section` (its lines after the heading `title`) in the place of the page's section of that name, or after the
    last. The page's head becomes `head`; what stands from "## Reasons" on is kept."""
    text = page.read_text() if page.exists() else ""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    new = f"## {title}\n\n{section.strip()}\n"
    names = [part.split("\n", 1)[0] for part in parts]
    if f"## {title}" in names:
        parts[names.index(f"## {title}")] = new
    else:
        parts.insert(names.index("## Reasons") if "## Reasons" in names else len(parts), new)
    page.write_text("\n\n".join(part.strip() for part in [head, *parts]) + "\n")
