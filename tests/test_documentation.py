"""README and docs: their length, their links, the generated pages, and the commands that they show."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import typer
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from test_layout import WINGS

from cardpose.__main__ import EXPERIMENTS, TOOLS
from cardpose.common.command_line import repeat_options
from cardpose.common.hydra_words import CONF

ROOT = Path(__file__).parents[1]


COMMAND = re.compile(
    r"^ {4,}(?:\w+=\S+ )?(?:srun |docker run .*?)?(?:cardpose |python -m cardpose\.)(\w+)(?: (.*))?$"
)
"""A command in an indented block: its name and its words."""


def commands() -> Iterator[tuple[str, str, str]]:
    """File, command and words of every command line in README and docs, lines that go on put together."""
    for file in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = re.sub(r"\\\n\s*", "", file.read_text(encoding="utf-8"))
        for line in text.splitlines():
            match = COMMAND.match(re.sub(r"\s+# .*$", "", line))
            if match and match[1] != "mine":  # the example of CONTRIBUTING.md
                yield file.name, match[1], (match[2] or "").replace("<", "").replace(">", "")


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """docs/hooks.py, which makes pages of the site."""
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs/hooks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def configuration(hooks: ModuleType) -> str:
    """The configuration reference, in Markdown."""
    return hooks.configuration()


def leaves(node: object, path: str) -> Iterator[str]:
    """Keys of a file of conf/ as they are typed; a node with a class counts as one, too."""
    if not isinstance(node, dict) or not node:
        yield path
        return
    if "_target_" in node:
        yield path
    for key, value in node.items():
        if not key.startswith("_") and key != "defaults" and f"{path}.{key}" != ".hydra":
            yield from leaves(value, f"{path}.{key}".lstrip("."))


@pytest.mark.parametrize(
    "file", sorted(CONF.rglob("*.yaml")), ids=lambda file: str(file.relative_to(CONF).with_suffix(""))
)
def test_configuration_reference_has_every_group_choice_and_key(configuration: str, file: Path) -> None:
    group, _, choice = str(file.relative_to(CONF).with_suffix("")).partition("/")
    title = f"### {group}={choice}" if choice else f"## cardpose.{group}"
    assert f"\n{title}\n" in configuration
    section = configuration.partition(f"\n{title}\n")[2].partition("\n##")[0]
    text = file.read_text(encoding="utf-8")
    package = re.search(r"^# @package (\S+)", text, re.MULTILINE)
    prefix = (package[1] if package else group if choice else "").replace("_global_", "")
    keys = set(leaves(yaml.safe_load(text), prefix)) - {prefix}
    assert {key for key in keys if f"| `{key}` |" not in section} == set()
    for comment in re.findall(r"^(?!\s*-)[^#\n]*\S\s+# (.+)$", text, re.MULTILINE):
        if "\n  help:" not in text:
            assert comment.strip().replace("|", "\\|") in configuration


def test_reference_has_a_page_a_wing_and_the_menu_lists_it(hooks: ModuleType) -> None:
    assert tuple(wing for wing, _ in hooks.WINGS) == WINGS
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [name for name in hooks.reference() if f"reference/{name}.md" not in menu] == []


def test_site_builds_without_a_warning_and_its_links_lead_somewhere(
    hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mkdocs.__main__ import cli

    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    cli(
        ["build", "--strict", "--quiet", "-f", str(ROOT / "mkdocs.yml"), "-d", str(tmp_path / "site")],
        standalone_mode=False,
    )
    page = (tmp_path / "site/reference/geometry/index.html").read_text(encoding="utf-8")
    assert "cardpose.geometry.box_fit.fit_box" in page
    assert (tmp_path / "site/corners.svg").is_file()


@pytest.mark.parametrize(
    "file", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda file: file.name
)
def test_links_lead_somewhere_in_the_repository_too(file: Path) -> None:
    targets = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", file.read_text(encoding="utf-8"))
    assert [target for target in targets if not (file.parent / target).exists()] == []


def test_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize(("file", "name", "words"), list(commands()))
def test_command_is_understood(file: str, name: str, words: str) -> None:
    assert name in {*TOOLS, *EXPERIMENTS}
    if name in TOOLS:
        main = import_module(f"cardpose.{name}").main
        tool = typer.main.get_command(main.app)
        known = {
            option for parameter in tool.params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", words)) <= known
        if not re.search(r"\.\.\.|\[-|\|", words):  # no pattern of a command, but one to type
            tool.make_context(name, repeat_options(shlex.split(words), main.several))
    elif "--" not in words and "..." not in words and "S" not in words.split():
        given = [word for word in shlex.split(words) if word not in ("-m", "-sc")]
        overrides = [
            f"{word.get_key_element()}={next(word.sweep_string_iterator())}"
            if word.is_sweep_override()
            else word.input_line
            for word in OverridesParser.create().parse_overrides(given)
        ]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            compose(name, overrides)
