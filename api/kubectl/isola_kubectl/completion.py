"""What may follow on a command line, in the protocol by which kubectl asks its plugins.

A line a candidate, with its description after a tab; at last `:4`, or `:0` where a file's name may
follow as well. The shells' own scripts, for `isola-history`, speak it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from isola_kubectl.arguments import (
    COMMANDS,
    COMMON,
    CONTEXT,
    FILES,
    KUBECONFIG,
    NAMESPACE,
    UID,
    Command,
    Option,
)
from isola_kubectl.errors import PluginError
from isola_kubectl.kinds import KINDS, SANDBOXES, Kind, target_of
from isola_kubectl.kubectl import Kubectl
from isola_kubectl.lives import subject_of
from isola_kubectl.objects import Objects
from isola_kubectl.session import Session

NO_FILES = ":4"
FILES_TOO = ":0"


@dataclass
class _Line:
    """What stands before the word that is being typed."""

    command: Command | None = None
    awaited: Option | None = None
    arguments: list[str] = field(default_factory=list[str])
    values: dict[Option, str] = field(default_factory=dict[Option, str])

    @property
    def options(self) -> tuple[Option, ...]:
        return (*(self.command.options if self.command else ()), *COMMON)

    def read(self, word: str) -> None:
        if self.awaited:
            self.values[self.awaited] = word
            self.awaited = None
        elif word.startswith("-"):
            flag, equals, value = word.partition("=")
            option = next((o for o in self.options if flag in o.flags), None)
            if option and equals:
                self.values[option] = value
            elif option and option.valued:
                self.awaited = option
        elif self.command is None:
            self.command = next((c for c in COMMANDS if c.name == word), None)
        else:
            self.arguments.append(word)


def candidates(words: Sequence[str], kubectl: Kubectl) -> Iterator[str]:
    """Yield the answer to what may follow, where the last of `words` is being typed."""
    *before, typed = words or [""]
    typed = "" if typed == "=" else typed  # bash takes `=` for a word of its own
    line = _Line()
    for word in before:
        if word != "=":
            line.read(word)
    prefix = ""
    if not line.awaited and typed.startswith("-") and "=" in typed:
        flag, _, typed = typed.partition("=")
        line.read(flag)
        prefix = f"{flag}="
    files = line.awaited in {FILES, KUBECONFIG}
    try:
        for word, about in _possible(line, typed, _directed(kubectl, line.values)):
            if word.startswith(typed):
                yield f"{prefix}{word}\t{about}" if about else f"{prefix}{word}"
    except PluginError:
        pass  # a cluster that does not answer is no reason to disturb who is typing
    yield FILES_TOO if files else NO_FILES


def _directed(kubectl: Kubectl, values: Mapping[Option, str]) -> Kubectl:
    given = (f"{o.flags[-1]}={values[o]}" for o in (NAMESPACE, CONTEXT, KUBECONFIG) if o in values)
    return replace(kubectl, flags=(*kubectl.flags, *given))


def _possible(line: _Line, typed: str, kubectl: Kubectl) -> Iterable[tuple[str, str]]:
    if line.awaited:
        return _values(line, line.awaited, kubectl)
    if typed.startswith("-"):
        return [(option.flags[-1], option.help) for option in line.options]
    if line.command is None:
        return [(command.name, command.help) for command in COMMANDS]
    if line.command.argument and not line.arguments:
        about = line.command
        return [(choice, "") for choice in about.choices] or _named(kubectl, about, typed)
    return []


def _values(line: _Line, option: Option, kubectl: Kubectl) -> Iterable[tuple[str, str]]:
    words: Callable[[], Iterable[str]] = {
        NAMESPACE: lambda: _words(kubectl, "get", "namespaces", "--output=name"),
        CONTEXT: lambda: _words(kubectl, "config", "get-contexts", "--output=name"),
        UID: lambda: _uids(kubectl, line.arguments),
    }.get(option, lambda: option.choices)
    return [(word.removeprefix("namespace/"), "") for word in words()]


def _named(kubectl: Kubectl, command: Command, typed: str) -> Iterator[tuple[str, str]]:
    """Yield names, of another type than sandboxes once that is begun; and types, for all of one."""
    if command.argument.startswith("["):
        yield from ((kind.resource.plural, "all of them") for kind in KINDS)
    if command.argument == "[TYPE]":
        return
    if "/" not in typed:
        yield from _names(kubectl, SANDBOXES, command)
    for kind, word in _types_begun(typed):
        names = _names(kubectl, kind, command)
        yield from ((f"{word}/{name}", about) for name, about in names)


def _types_begun(typed: str) -> Iterator[tuple[Kind, str]]:
    word, slash, _ = typed.partition("/")
    for kind in KINDS:
        if slash and word in kind.words:
            yield kind, word
        elif word and not slash and kind is not SANDBOXES:
            begun = (each for each in reversed(kind.words) if each.startswith(word))
            if each := next(begun, None):
                yield kind, each


def _names(kubectl: Kubectl, kind: Kind, command: Command) -> Iterator[tuple[str, str]]:
    objects = Objects(kubectl, kind)
    living = {item["metadata"]["name"] for item in objects.all()}
    yield from ((name, "") for name in sorted(living))
    if command.name != "watch":
        gone = {str(subject_of(kind, record).get("name")) for record in objects.records()} - living
        yield from ((name, "deleted") for name in sorted(gone))


def _uids(kubectl: Kubectl, names: Sequence[str]) -> list[str]:
    try:
        target = target_of("".join(names))
    except PluginError:
        return []
    records = Objects(kubectl, target.kind).records(name=target.name)
    return sorted({str(subject_of(target.kind, record).get("uid")) for record in records})


def _words(kubectl: Kubectl, *arguments: str) -> list[str]:
    return kubectl.run(*arguments).split()


def script(session: Session) -> int:
    """Show the script that makes a shell complete `isola-history`."""
    session.screen.out.write(SCRIPTS[session.given.shell])
    return 0


BASH = r"""_isola_history() {
  local line directive=4
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :*) directive=${line#:} ;;
      *) COMPREPLY+=("${line%%$'\t'*}") ;;
    esac
  done < <(kubectl_complete-isola "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [ "$directive" = 4 ] || compopt -o default
}
complete -F _isola_history isola-history kubectl-isola
"""

ZSH = r"""#compdef isola-history kubectl-isola
_isola_history() {
  local -a lines
  lines=("${(@f)$(kubectl_complete-isola "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  local directive=$lines[-1]
  lines[-1]=()
  lines=("${(@)lines//:/\\:}")
  lines=("${(@)lines/$'\t'/:}")
  _describe isola-history lines
  [[ $directive = :4 ]] || _files
}
compdef _isola_history isola-history kubectl-isola
"""

FISH = r"""function __isola_history
  set -l words (commandline -opc) (commandline -ct)
  set -l lines (kubectl_complete-isola $words[2..-1] 2>/dev/null)
  string match -v -r '^:\d$' -- $lines
  test "$lines[-1]" = :4; or __fish_complete_path (commandline -ct)
end
complete -c isola-history -f -a '(__isola_history)'
complete -c kubectl-isola -f -a '(__isola_history)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
