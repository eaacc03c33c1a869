"""Pages of the site that are made from the repository: README.md and its kind, conf/ and the docstrings."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
COPIES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "cardpose/labelling/page/corners.svg": "corners.svg",
}
"""File of the repository -> its place in the site."""

WINGS = (
    ("common", "What every wing uses: errors, records, files, locks, threads, progress, command lines."),
    ("geometry", "The cuboid before a pinhole camera, focal length, affine and letterbox transforms."),
    ("fusion", "Estimates of the frames to one count a clip, with an interval."),
    ("data", "Footage, labels, formats of other tools, and the training pipeline."),
    ("models", "Encoders, decoder, heads, heatmaps, peaks, checkpoints."),
    ("synth", "Rendered footage with labels."),
    ("edges", "Counts the edges of the cards in the source frame."),
    ("evaluation", "Metrics and reports."),
    ("training", "Losses, callbacks, training, testing, calibration."),
    ("prediction", "From a picture, video or camera to corners and a count."),
    ("deploy", "Export to ONNX and torch.export."),
    ("sweeps", "Many trainings: jobs, search, comparison."),
    ("labelling", "The label page, frame selection, checks."),
    ("app", "The page that counts before the camera of a phone."),
    ("benchmarks", "What `cardpose.bench` measures."),
)
"""Wings of the package, lowest first, each with what lives there."""

PLACES = (
    COPIES | {"conf": "configuration.md"} | {f"cardpose/{wing}": f"reference/{wing}.md" for wing, _ in WINGS}
)
"""File or folder of the repository -> the page of the site that shows it."""

GROUPS = {
    "experiment": "A whole training: only what differs from `conf/train.yaml`.",
    "data": "The footage to train on.",
    "render": "How much footage is rendered.",
    "scene": "What the rendered scenes look like.",
    "split": "Which videos or frames are held out.",
    "augment": "Random changes of the training images.",
    "heatmap": "How corners are drawn as heatmaps, and how peaks are found.",
    "model": "The network.",
    "spatial": "How the heatmaps are corrected by where the other corners are.",
    "count_features": "What the count is estimated from, beside the deepest features of the encoder.",
    "count_head": "How the count is estimated from these features.",
    "loss": "Weights and kinds of the losses.",
    "optim": "The optimizer.",
    "scheduler": "The learning rate over the training.",
    "trainer": "Lightning's Trainer: devices, precision, epochs.",
    "callbacks": "What happens beside the training.",
    "logger": "Where losses, scores and pictures are logged.",
    "launcher": "Where the jobs of a sweep (`-m`) run.",
    "sweep": "Which jobs a sweep (`-m`) runs.",
    "debug": "Short runs to find faults.",
    "fusion": "How the frames of a clip become one count.",
    "hydra": "Run folders and logging, chosen by the commands themselves.",
}
"""Group of conf/ -> what its choices decide."""


NOT_SHOWN = ("defaults", "_target_", "_partial_", "_convert_", "_recursive_")
"""Keys of conf/ that nobody sets on a command line."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages and the picture of the corner names."""
    for source, target in COPIES.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text()))
    files.append(File.generated(config, "configuration.md", content=configuration()))
    for name, page in reference().items():
        files.append(File.generated(config, f"reference/{name}.md", content=page))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between files of the repository become links between pages of the site."""
    base = "" if page.file.src_uri in COPIES.values() else "docs"

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(base, match[1]))
        return f"]({PLACES.get(target, target.removeprefix('docs/'))}{match[2] or ''})"

    return re.sub(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)", link, markdown)


def reference() -> dict[str, str]:
    """The API reference from the docstrings: wing -> page, the commands last."""
    pages = {}
    for wing, text in WINGS:
        modules = sorted((ROOT / "cardpose" / wing).rglob("*.py"))
        pages[wing] = "\n".join([f"# {wing}\n\n{text}\n", *(f"::: {dotted(module)}" for module in modules)])
    entries = sorted((ROOT / "cardpose").glob("[!_]*.py"))
    pages["commands"] = "\n".join(["# Commands\n", *(f"::: {dotted(module)}" for module in entries)])
    return pages


def dotted(module: Path) -> str:
    """Name by which Python imports a file of the package."""
    return ".".join(module.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def configuration() -> str:
    """The configuration reference: a section a group of conf/, a table a choice, a row a key."""
    conf = ROOT / "conf"
    lines = [
        "# Configuration",
        "Made from the files in `conf/`. `train`, `crossval`, `synthesize` and `bench` compose them: `GROUP=CHOICE`",
        "takes a file of a group, `KEY=VALUE` sets a key, commas with `-m` run all combinations.",
        "`python -m cardpose.train --cfg job experiment=baseline` prints the result.\n",
        "| group | what it decides | choices |\n| --- | --- | --- |",
    ]
    groups = [folder.name for folder in conf.iterdir() if folder.is_dir()]
    groups.sort(key=list(GROUPS).index)
    for group in groups:
        names = ", ".join(f"`{name}`" for name in choices(conf / group) if not name.startswith("_"))
        lines.append(f"| [{group}](#{group}) | {GROUPS[group]} | {names} |")
    for file in sorted(conf.glob("*.yaml")):
        lines += [f"\n## cardpose.{file.stem}\n", *section(file, "")]
    for group in groups:
        lines += [f"\n## {group}\n\n{GROUPS[group]}"]
        for name, file in choices(conf / group).items():
            lines += [f"\n### {group}={name}\n", *section(file, group)]
    return "\n".join(lines) + "\n"


def choices(folder: Path) -> dict[str, Path]:
    """Name of each choice of a group -> its file, those in folders of the group included."""
    return {str(file.relative_to(folder).with_suffix("")): file for file in sorted(folder.rglob("*.yaml"))}


def section(file: Path, group: str) -> Iterator[str]:
    """The comment at the head of a file of conf/, and a table of its keys."""
    text = file.read_text()
    head = re.match(r"(?:#.*\n)*", text)
    comments = [line.lstrip("# ").rstrip() for line in (head[0] if head else "").splitlines()]
    package = next((line.split()[1] for line in comments if line.startswith("@package")), group)
    for line in comments:
        if not line.startswith("@package"):
            yield f"`{line}`\n" if line.startswith("python -m") else line
    root = re.search(r"^_target_: (\S+)", text, re.MULTILINE)
    if root:
        yield f"\nBuilds `{root[1]}`."
    parts = [part for part in map(composed, (yaml.safe_load(text) or {}).get("defaults", [])) if part]
    if parts:
        yield f"\nComposed of {', '.join(parts)}."
    rows = list(keys(text, "" if package == "_global_" else package))
    if rows:
        yield "\n| key | default | |\n| --- | --- | --- |"
        for key, value, comment in rows:
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{key}`", value, comment)) + " |"


def composed(default: str | dict[str, str | None]) -> str:
    """An entry of a defaults list as it is typed on a command line; empty for what is not chosen there.

    >>> composed({"override /data": "synthetic"}), composed("rich"), composed("_self_")
    ('`data=synthetic`', '`rich`', '')
    """
    if isinstance(default, str):
        return "" if default == "_self_" else f"`{default}`"
    ((group, choice),) = default.items()
    return f"`{group.removeprefix('override ').removeprefix('/')}={choice}`" if choice else ""


def keys(text: str, prefix: str) -> Iterator[tuple[str, str, str]]:
    """Key as it is typed, default and comment of each leaf of a YAML file; a class stands for the node it builds."""
    lines = text.splitlines()

    def comment(row: int) -> str:
        found = [match[1]] if (match := re.search(r"\s#\s(.*)$", lines[row])) else []
        while found and row + 1 < len(lines) and (more := re.match(r"\s{12,}#\s(.*)$", lines[row + 1])):
            found, row = [*found, more[1]], row + 1
        return " ".join(found)

    def walk(node: yaml.MappingNode, path: str) -> Iterator[tuple[str, str, str]]:
        for name, value in node.value:
            key, note = f"{path}.{name.value}".lstrip("."), comment(name.start_mark.line)
            if key == "hydra" or name.value in NOT_SHOWN:
                continue
            if isinstance(value, yaml.MappingNode) and value.value:
                target = next((item.value for word, item in value.value if word.value == "_target_"), "")
                if target or note:
                    yield key, f"`{target}`" if target else "", note
                yield from walk(value, key)
            else:
                source = text[value.start_mark.index : value.end_mark.index]
                yield key, f"`{source}`" if source else "", note

    root = yaml.compose(text)
    if isinstance(root, yaml.MappingNode):
        yield from walk(root, prefix)
