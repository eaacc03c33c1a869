"""Words of an experiment's command line: quoting, options, renamed keys, and Hydra's errors in one line."""

import difflib
import re
import shlex
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cardpose.common.command_line import ANSWERS
from cardpose.common.errors import InputError
from cardpose.common.renamed import rename

PACKAGE = Path(__file__).resolve().parents[1]
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""The configuration: inside the package where a wheel installed it, beside the package in a clone."""

REMOVED = {
    "loss=focal": "use loss=default",
    "loss=adaptive_wing": "use loss=default",
    "loss.heatmap_loss": "leave it out, the loss of the heatmaps is the squared error",
    "loss.card_loss": "leave it out, the loss of the count is the squared error",
    "count_head=ordinal": "use count_head=distribution",
}
"""Choice or key that is gone since it gained nothing -> what to do instead."""
_ANSWER = re.compile(r"(?P<key>[\w.]+)=(?P<answer>yes|no|on|off)", re.IGNORECASE)
OPTIONS = (
    *(
        "--help",
        "--hydra-help",
        "--version",
        "--cfg",
        "--resolve",
        "--package",
        "--run",
        "--multirun",
        "--info",
    ),
    *("--shell-completion", "--config-path", "--config-name", "--config-dir", "--experimental-rerun"),
)
SHORT_OPTIONS = ("-h", "-c", "-p", "-r", "-m", "-sc", "-cp", "-cn", "-cd", "-i")
"""Options of Hydra's command line."""


def path_override(key: str, path: Path) -> str:
    """`key=path` as Hydra reads it, whatever the path holds.

    >>> path_override("dir", Path("outputs/a")), path_override("dir", Path("a=1,b"))
    ('dir=outputs/a', 'dir="a=1,b"')
    """
    text = str(path)
    if all(letter.isalnum() or letter in "/._-" for letter in text) and not text.isdigit():
        return f"{key}={text}"
    escaped = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + ("\\" + found[2] if found[2] else ""), text)
    return f'{key}="' + escaped.replace("${", "\\${") + '"'


def check_options(words: Sequence[str]) -> None:
    """Refuse an option that Hydra does not have.

    Args:
        words: of the command line, without the command.

    Raises:
        InputError: names the option, and what to write instead.
    """
    for word in words:
        name, _, value = word.partition("=")
        if re.match(r"-+[A-Za-z]", word) and name not in (*OPTIONS, *SHORT_OPTIONS):
            instead = did_you_mean(name, OPTIONS) or f"write {name.lstrip('-')}={value or 'VALUE'}"
            raise InputError(f"{name}: no such option: {instead}")


def composition_line(error: Exception, keys: Iterable[str]) -> str:
    """Hydra's error on a configuration that it cannot compose, in one line with the nearest keys or choices.

    Args:
        error: of Hydra or OmegaConf.
        keys: of the configuration, see `dotted_keys`.
    """
    message = " ".join(str(error).split("Config search path")[0].split())
    if isinstance(error, OverrideParseException):
        key, sign, value = error.override.partition("=")
        if not sign:
            return f"{error.override}: not an override: write KEY=VALUE"
        quoted = shlex.quote(path_override(key, Path(value)))
        return f"{error.override}: Hydra cannot read this value: if it is text, quote it: {quoted}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        if instead := REMOVED.get(f"{group}={choice}"):
            return f"{group}={choice} was removed: {instead}"
        options = sorted(option for option in error.options if not option.startswith("_"))
        near = did_you_mean(choice, options)
        return f"{group}={choice}: no such choice: {near + ' ' if near else ''}choose {', '.join(options)}"
    if found := re.search(r"Ambiguous value for argument '(.*)' 1\.", message):
        key, _, value = found[1].partition("=")
        return (
            f"{found[1]}: several values: add -m for a sweep, write {key}=[{value}] for a list, or quote it: "
            f"{shlex.quote(path_override(key, Path(value)))}"
        )
    if found := re.search(r"(?:Could not override|delete from config\.) '([^']+)'", message):
        key = found[1]
        if instead := REMOVED.get(key):
            return f"{key} was removed: {instead}"
        return renamed(key) or f"{key}: no such key: {nearest_keys(key, list(keys))}"
    if found := re.search(r"An item is already at '([^']+)'", message):
        return f"+{found[1]}: this key exists: leave out the +"
    return message


def renamed(key: str) -> str:
    """Sentence about a key that has a new name; empty for any other.

    >>> renamed("weights"), renamed("synth.deck"), renamed("seed")
    ('weights is now called init_from', 'synth.deck is now called scene.deck', '')
    """
    return f"{key} is now called {new}" if (new := rename(key)) != key else ""


def nearest_keys(key: str, keys: Collection[str]) -> str:
    """Which keys may have been meant.

    >>> nearest_keys("optim.learning_rate", ["seed", "optim", "optim.lr", "optim.weight_decay"])
    'optim has lr, weight_decay'
    >>> nearest_keys("lr", ["seed", "optim.lr"]), nearest_keys("sed", ["seed", "optim.lr"])
    ('did you mean optim.lr?', 'did you mean seed?')
    """
    parent, _, last = key.rpartition(".")
    same = [other for other in keys if other.rpartition(".")[2] == last]
    if same:
        return f"did you mean {' or '.join(same[:3])}?"
    siblings = [other for other in keys if other.rpartition(".")[0] == parent]
    if near := did_you_mean(key, siblings) or did_you_mean(key, keys):
        return near
    names = ", ".join(sibling.rpartition(".")[2] for sibling in siblings if not sibling.endswith("_"))
    if parent and names:
        return f"{parent} has {names}"
    return "see --help for the keys"


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A question with the nearest of the known words; empty where none is near."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else ""


def keys_of_entry(config_name: str, words: Sequence[str]) -> list[str]:
    """Keys and groups of conf/<config_name>.yaml, with the choices among `words` as far as they compose."""
    return sorted({*_groups(), *dotted_keys(OmegaConf.to_container(_composed(config_name, words)))})


def help_text(config_name: str, words: Sequence[str]) -> str:
    """The help of conf/hydra/help. Hydra prints the same, but lists every group before, which takes as long again.

    Args:
        config_name: of the file in conf/.
        words: of the command line, whose choices are marked.
    """
    overrides = [word for word in words if not word.startswith("-")]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return str(compose(config_name, overrides, return_hydra_config=True).hydra.help.template)


def choices(chosen: Mapping[str, str | None]) -> str:
    """The choices of each group that has several, 80 columns wide, for the help of an experiment.

    Args:
        chosen: group to its choice, which is marked: `hydra.runtime.choices`.
    """
    groups = {key: key.partition("@")[0] for key in list(chosen)[::-1] if not key.startswith("hydra/")}
    width = max(map(len, groups)) + 3
    lines = []
    for key, group in groups.items():
        names = sorted(path.stem for path in (CONF / group).glob("[!_]*.yaml"))
        marked = ", ".join(f"{name}*" if name == chosen[key] else name for name in names)
        if names != [chosen[key]]:
            lines += textwrap.wrap(f"  {key:{width - 2}}{marked}", 80, subsequent_indent=" " * width)
    return "\n".join(lines)


def read_answers(config_name: str, words: Sequence[str]) -> list[str]:
    """Write yes, no, on and off as true and false, as Hydra reads them, where a key takes these.

    Args:
        config_name: of the file in conf/.
        words: of the command line.
    """
    answers = {number: found for number, word in enumerate(words) if (found := _ANSWER.fullmatch(word))}
    if not answers:
        return list(words)
    cfg, read = _composed(config_name, words), list(words)
    for number, found in answers.items():
        if isinstance(OmegaConf.select(cfg, found["key"]), bool):
            read[number] = f"{found['key']}={str(ANSWERS[found['answer'].lower()]).lower()}"
    return read


def _groups() -> list[str]:
    return [folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"]


def _composed(config_name: str, words: Sequence[str]) -> DictConfig:
    """conf/<config_name>.yaml with the choices among `words` as far as they compose."""
    groups = _groups()
    chosen = [word for word in words if word.partition("=")[0] in groups and "," not in word]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            return compose(config_name, chosen)
        except (HydraException, OmegaConfBaseException):
            return compose(config_name)


def dotted_keys(node: Any, prefix: str = "") -> list[str]:
    """Every key of nested dicts, also those that hold others.

    >>> dotted_keys({"a": {"b": 1}})
    ['a', 'a.b']
    """
    if not isinstance(node, dict):
        return []
    keys = []
    for key, value in node.items():
        keys += [f"{prefix}{key}", *dotted_keys(value, f"{prefix}{key}.")]
    return keys
