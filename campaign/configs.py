"""Bindings and gin files as nobody should write them: names near real ones, odd values, scopes, macros, includes.

The grammar is gin's, with a chance of going wrong at every joint: about as many cases are right in all but one place as
are nonsense throughout. A case is told by its seed and number alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic.fields import FieldInfo

from hyprepro.component import COMPONENTS
from hyprepro.config import files
from hyprepro.config.catalogue import by_slot, load_components
from hyprepro.config.describe import choices_of
from hyprepro.config.lint import RENAMED

RECIPES = ("table1", "table4", "figure4", "figure5", "tokens", "baselines4", "table2", "table3", "velocities")
"""Recipes of which a dry run takes a fraction of a second; the larger ones come now and then."""
LARGE = ("ablation", "zoos", "audit", "judges_a", "runs", "independence")
MODULES = {
    "sound_module.py": "X = 1\n",
    "raising_module.py": "raise KeyError('as its author left it')\n",
    "leaving_module.py": "import sys\nsys.exit(3)\n",
    "broken_module.py": "def (:\n",
    "deep_module.py": "def f():\n    f()\nf()\n",
}
"""Modules beside the gin files, for their imports."""


@dataclass
class Case:
    """One command line with the files that it names.

    Args:
        arguments: The words after `hyprepro`.
        files: The content of the files by name, beside each other in the working folder.
    """

    arguments: list[str]
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def wants_json(self) -> bool:
        """Whether the command line asks for JSON."""
        return "--json" in self.arguments


def case(seed: int, number: int) -> Case:
    """The case of a number."""
    load_components()
    return _Grammar(random.Random(f"{seed}:{number}")).case()


class _Grammar:
    """Draws everything from one generator of random numbers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.scopes = ["wide", "row", "paper", "a/b", "v2"]
        self.macros = ["SIZE", "SEEN", "AUTOENCODER", "HYPLATENT", "GOALS", "X"]

    def case(self) -> Case:
        made = Case([])
        kinds = (self.bound, self.own_file, self.recipe_file, self.edited, self.flags, self.named)
        self.rng.choices(kinds, weights=(6, 4, 4, 3, 2, 2))[0](made)
        if self.rng.random() < 0.15:
            made.arguments.append("--json")
        return made

    # Command lines.

    def bound(self, made: Case) -> None:
        """Bindings on the command line."""
        self.command(made, self.recipe())
        for _ in range(self.rng.choice((1, 1, 1, 2, 5))):
            made.arguments += [self.rng.choice(("-b", "--bind")), _argument(self.line())]

    def own_file(self, made: Case) -> None:
        """A file of the user's with `-g`, or as scale or variant."""
        self.command(made, self.recipe())
        made.files["mine.gin"] = self.file(made)
        flag = self.rng.choices(("-g", "--scale", "--variant"), weights=(4, 1, 1))[0]
        made.arguments += [flag, "mine.gin"]

    def recipe_file(self, made: Case) -> None:
        """A recipe of the user's, which includes a shipped one or stands alone."""
        self.command(made, "mine.gin")
        head = b"" if self.rng.random() < 0.2 else f"include 'recipes/{self.recipe()}.gin'\n".encode()
        made.files["mine.gin"] = head + self.file(made)

    def edited(self, made: Case) -> None:
        """A shipped file in which something was changed."""
        path = self.rng.choice(sorted(files.gin_root().rglob("*.gin")))
        made.files["edited.gin"] = self.damaged(path.read_bytes())
        if path.parent.name in ("recipes", "collections"):
            self.command(made, "edited.gin")
        else:
            self.command(made, self.recipe())
            made.arguments += ["-g", "edited.gin"]

    def flags(self, made: Case) -> None:
        """Odd flags."""
        self.command(made, self.near(self.recipe()))
        odd = {
            "--scale": (*files.shipped("scales"), "smok", "", "x" * 5000, "/dev/zero", "..", "smoke.gin", "a\0b"),
            "--variant": (*files.shipped("variants"), "our", "/", "\ud800", "😀.gin"),
            "--seeds": ("0", "-1", "1", "3", "1e3", "9" * 30, "9" * 5000, "", "٣", "nan"),
            "--workers": ("0", "-1", "2", "1000000", "x"),
            "--executor": ("local", "lokal", ""),
            "--job": ("partition=cpu", "=", "x" * 1000),
            "--cache": ("cache", "/dev/null/x", "a\0b", "x" * 300, ""),
            "--out": ("out", "/dev/null/x", "a\0b", "results/table1/desktop", "x" * 300, ""),
            "-g": ("/dev/null", "/dev/zero", ".", "pipe", "mine.gin", "", "a\0.gin", "x" * 300 + ".gin"),
            "-b": ("", "=", "include 'x'", "include", "import os", "Recipe.seeds", "=1", "\n"),
        }
        for flag in self.rng.sample(sorted(odd), self.rng.choice((1, 1, 2))):
            made.arguments += [flag, _argument(self.rng.choice(odd[flag]))]

    def named(self, made: Case) -> None:
        """`explain` of a component, a field, a slot, a scale, or of something near one."""
        name = self.rng.choice(self.component_names())
        fields = [f"{name}.{each}" for each in COMPONENTS[name].model_fields] or [name]
        shipped = [each for kind in files.KINDS for each in files.shipped(kind)]
        word = self.rng.choice((name, self.rng.choice(fields), self.rng.choice(sorted(by_slot())), *shipped[:3]))
        made.arguments[:] = ["explain", _argument(self.near(word, often=0.6))]

    def command(self, made: Case, recipe: str) -> None:
        if self.rng.random() < 0.5:
            made.arguments[:] = ["explain", _argument(recipe)]
        else:
            made.arguments[:] = ["run", _argument(recipe), "--dry-run", "--cache", "cache", "--out", "out"]
        if self.rng.random() < 0.7:
            made.arguments += ["--scale", "smoke"]

    def recipe(self) -> str:
        return self.rng.choice(LARGE if self.rng.random() < 0.03 else RECIPES)

    # Files.

    def file(self, made: Case) -> bytes:
        """A gin file of some lines; now and then one that is damaged as bytes."""
        lines = [self.line() for _ in range(self.rng.choice((0, 1, 1, 2, 3, 8)))]
        special = self.rng.random()
        if special < 0.25:
            lines.append(self.included(made))
        elif special < 0.35:
            lines += self.laughs()
        elif special < 0.4:
            lines += self.many()
        elif special < 0.47:
            lines.append(self.imported(made))
        self.rng.shuffle(lines)
        end = self.rng.choice(("\n", "\n", "\n", "\r\n", "\r", "\n\n", "\f\n", "\\\n"))
        text = end.join(lines) + self.rng.choice((end, ""))
        content = text.encode("utf-8", "surrogatepass")
        return self.damaged(content) if self.rng.random() < 0.1 else content

    def included(self, made: Case) -> str:
        """An include: of a file, itself, a circle, a chain, a folder, a device, something that is not there."""
        kind = self.rng.randrange(9)
        if kind == 0:
            return f"include 'mine.gin{self.rng.choice(('', ' under wide', ' under a/b', ' under'))}'"
        if kind == 1:
            made.files["other.gin"] = self.rng.choice((b"include 'mine.gin'\n", self.line().encode("utf-8", "replace")))
            return f"include 'other.gin{self.rng.choice(('', '', ' under wide'))}'"
        if kind == 2:
            count = self.rng.choice((3, 60, 400, 1500))
            for number in range(count):
                made.files[f"chain{number}.gin"] = f"include 'chain{number + 1}.gin'\n".encode()
            made.files[f"chain{count}.gin"] = b"Recipe.seeds = 1\n"
            return "include 'chain0.gin'"
        if kind == 3:  # each includes the next one twice
            count = self.rng.choice((3, 12, 30))
            for number in range(count):
                made.files[f"twice{number}.gin"] = (f"include 'twice{number + 1}.gin'\n" * 2).encode()
            made.files[f"twice{count}.gin"] = b"X = 1\n"
            return "include 'twice0.gin'"
        shipped = [str(path.relative_to(files.gin_root())) for path in sorted(files.gin_root().rglob("*.gin"))]
        names = (
            *self.rng.sample(shipped, 2),
            self.near(self.rng.choice(shipped)),
            f"{self.rng.choice(shipped)} under {self.rng.choice(self.scopes)}",
            ".", "/", "", "..", "/dev/null", "/dev/zero", "pipe", "x" * 300, "x/" * 3000, "missing.gin", "a\\0b",
            "\\ud800", "~/x.gin", "http://127.0.0.1/x.gin",
        )  # fmt: skip
        return f"include '{self.rng.choice(names)}'" + self.rng.choice(("", "", "", " under wide", "x"))

    def imported(self, made: Case) -> str:
        """An import: of a module beside the file, a library's, none, or in a form that is not understood."""
        made.files.update({name: text.encode() for name, text in MODULES.items()})
        own = [name.removesuffix(".py") for name in MODULES]
        names = (*own, "json", "hyprepro.component", "nowhere", "nowhere.at_all", ".", "..x", "os path", "1", "mine")
        form = self.rng.choice(("import {}", "import {}", "import {}", "from {} import x", "import {} as y", "import"))
        return form.format(self.rng.choice(names))

    def laughs(self) -> list[str]:
        """Macros each of which holds the one before several times."""
        count = self.rng.choice((3, 8, 25, 200))
        times = self.rng.choice((1, 2, 10))
        lines = [f"M0 = {self.value()}"]
        lines += [f"M{number} = ({', '.join([f'%M{number - 1}'] * times)},)" for number in range(1, count)]
        return [*lines, f"{self.target()} = %M{count - 1}"]

    def many(self) -> list[str]:
        """Very many lines, or very many things in one."""
        count = self.rng.choice((200, 2000, 20_000))
        name = self.rng.choice(self.component_names())
        kind = self.rng.randrange(5)
        if kind == 0:
            return [f"scope{number}/{name}.x = {number}" for number in range(count)]
        if kind == 1:
            return [f"N{number} = %N{number + 1}" for number in range(count)] + [f"Recipe.seeds = %N{count}"]
        if kind == 2:
            return [f"Recipe.seen = ({', '.join(repr(str(number)) for number in range(count))})"]
        if kind == 3:
            return [f"Recipe.methods = ({', '.join([f'@{name}()'] * count)},)"]
        return ["# " + "x" * count * 10, "\n" * count, "Recipe.seeds = 1"]

    def damaged(self, content: bytes) -> bytes:
        """Bytes in which something was changed: a line, a letter, an encoding, the end."""
        data, rng = bytearray(content), self.rng
        for _ in range(rng.choice((1, 1, 2, 5))):
            place = rng.randrange(len(data) + 1)
            kind = rng.randrange(8)
            if kind == 0:
                data[place : place + rng.choice((1, 1, 3, 40))] = b""
            elif kind == 1:
                data[place:place] = rng.choice(_INSERTED)
            elif kind == 2 and place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            elif kind == 3:
                del data[place:]
            elif kind == 4:
                lines = bytes(data).split(b"\n")
                rng.shuffle(lines)
                data = bytearray(b"\n".join(lines))
            elif kind == 5:
                lines = bytes(data).split(b"\n")
                data = bytearray(b"\n".join([*lines, rng.choice(lines)]))
            elif kind == 6:
                return (
                    bytes(data)
                    .decode("utf-8", "replace")
                    .encode(rng.choice(("utf-16", "utf-8-sig", "latin-1")), "replace")
                )
            else:
                word = rng.choice((b"=", b"(", b")", b"@", b"%", b"'", b".", b"/", b"()", b"include"))
                data = bytearray(bytes(data).replace(word, rng.choice((b"", word * 2, b" ")), rng.choice((1, 1, -1))))
        return bytes(data)

    # Statements.

    def line(self) -> str:
        """A statement, or something like one."""
        rng = self.rng
        kind = rng.randrange(12)
        if kind < 7:
            name, field = self.bindable()
            target, info = f"{name}.{field}", COMPONENTS[name].model_fields[field]
            scope = f"{rng.choice(self.scopes)}/" if rng.random() < 0.12 else ""
            value = self.fitting(info) if rng.random() < 0.5 else self.value()
            return f"{scope}{self.near(target)} {self.operator()} {value}"
        if kind == 7:
            return f"{self.near(rng.choice(self.macros))} {self.operator()} {self.value()}"
        if kind == 8:
            return f"{self.target()} {self.operator()} {self.value()}"
        if kind == 9:
            name, field = self.bindable()
            return f"{name}:\n  {field} = {self.value()}\n {field} = {self.value()}"
        if kind == 10:
            return rng.choice(_ODD_LINES)
        return f"{self.target()} = {self.value()}  # {rng.choice(_TEXTS)}"

    def operator(self) -> str:
        return self.rng.choices(("=", "==", ":", "+=", "", "=\\\n  "), weights=(40, 1, 1, 1, 1, 1))[0]

    def target(self) -> str:
        rng = self.rng
        name, field = self.bindable()
        old = rng.choice(sorted(RENAMED))
        long = "/".join(["a"] * rng.choice((5, 200, 5000)))
        return rng.choice(
            (f"{name}.{field}", self.near(f"{name}.{field}"), f"hyprepro.{name}.{field}", f"{long}/{name}.{field}", old,
             f"{old}.x", f"{name}.{field}.x", f"{name}", f".{field}", f"{name}.", "gin.x", "gin.macro.value", "x/y/Z",
             f"{name}.model_config", f"{name}.__class__", f"{name}.slot", "é.ü", "Recipe.name")
        )  # fmt: skip

    def bindable(self) -> tuple[str, str]:
        """A component with a field; that of a recipe more often than others."""
        common = (
            "Recipe",
            "Recipe",
            "MetaWorld",
            "HypLatent",
            "HypFormer",
            "GenHypRL",
            "CheetahVel",
            "LinearAutoencoder",
        )
        while True:
            name = self.rng.choice(common if self.rng.random() < 0.5 else self.component_names())
            if COMPONENTS[name].model_fields:
                return name, self.rng.choice(sorted(COMPONENTS[name].model_fields))

    def component_names(self) -> list[str]:
        """The product's components, without those of modules that a case imported."""
        return sorted(name for name, cls in COMPONENTS.items() if cls.__module__.startswith("hyprepro."))

    def near(self, word: str, often: float = 0.2) -> str:
        """A word, or one that is near it."""
        rng = self.rng
        if rng.random() > often or not word:
            return word
        place = rng.randrange(len(word))
        return rng.choice(
            (word[:place] + word[place + 1 :], word[:place] + word[place] + word[place:], word.swapcase(), word + "s",
             word[:place] + rng.choice("xé/._ 0") + word[place + 1 :], word[::-1], word[:place], f" {word}", word * 40,
             word.replace("a", "\u0430"), f"{word}\u200b", word.lower())
        )  # fmt: skip

    # Values.

    def fitting(self, info: FieldInfo) -> str:
        """A value of about the type that a field takes."""
        choices = choices_of(info.annotation)
        if choices:
            return self.near(self.rng.choice(choices), often=0.1)
        words = str(info.annotation)
        if "tuple" in words:
            items = [self.scalar(words) for _ in range(self.rng.choice((0, 1, 2, 3, 30)))]
            return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
        return self.scalar(words)

    def scalar(self, words: str) -> str:
        makers: list[Callable[[], str]] = []
        if "int" in words:
            makers.append(lambda: self.rng.choice((*_INTEGERS, "1", "2", "3", "8", "64")))
        if "float" in words:
            makers.append(lambda: self.rng.choice((*_NUMBERS, "0.5", "1.0", "0.001")))
        if "str" in words:
            makers.append(lambda: repr(self.rng.choice(_TEXTS)))
        return self.rng.choice(makers)() if makers else self.value()

    def value(self, depth: int = 0) -> str:
        """Any value."""
        rng = self.rng
        kind = rng.randrange(14)
        if kind == 0:
            return rng.choice(_INTEGERS)
        if kind == 1:
            return rng.choice(_NUMBERS)
        if kind == 2:
            text = rng.choice(_TEXTS)
            return rng.choice(
                (repr(text), f'"{text}"', f"r'{text}'", f"b'{text}'", f"f'{text}'", f"'''{text}'''", text)
            )
        if kind in (3, 4):
            scope = rng.choice(
                ("", "", "", *(f"{scope}/" for scope in self.scopes), "a/" * rng.choice((3, 300, 20_000)))
            )
            end = rng.choice(("()", "()", "()", "", "(", "()()", "().x", "(1)"))
            return f"@{scope}{self.near(rng.choice(self.component_names()))}{end}"
        if kind == 5:
            return "%" + rng.choice((*self.macros, "UNDEFINED", "gin.REQUIRED", "", "a/b", "%X", "gin.x"))
        if kind == 6:
            opening, closing = rng.choice(("()", "[]", "{}", "([", "(("))
            return opening * rng.choice((1, 30, 95, 300, 3000)) + "1" + closing * rng.choice((1, 30, 95, 300, 3000))
        if kind == 7:
            number = rng.choice((30, 99, 150, 250, 1000, 50_000))
            return f"{'(' * number}1{',)' * number}"
        if kind == 8:
            return rng.choice(_EXPRESSIONS)
        if kind == 9:
            return rng.choice(("True", "False", "None", "true", "null", "...", "NotImplemented", "inf", "nan", "-inf"))
        if kind == 10 and depth < 4:
            items = ", ".join(f"{self.value(depth + 1)}: {self.value(depth + 1)}" for _ in range(rng.choice((0, 1, 3))))
            return f"{{{items}}}"
        if depth < 4:
            items = ", ".join(self.value(depth + 1) for _ in range(rng.choice((0, 1, 2, 5))))
            return rng.choice((f"({items})", f"({items},)", f"[{items}]", f"{{{items}}}"))
        return "1"


def _argument(text: str) -> str:
    """Text as the system would hand it to a program: it ends at a NUL, so there is none in it."""
    return text.replace("\0", "")


_INTEGERS = (
    "0", "-1", "1", "7", "-0", "+1", "~1", "--1", "2147483648", "9223372036854775807", "9223372036854775808", "1_000",
    "0x7f", "0b11", "0o17", "007", "1" * 30, "9" * 400, "9" * 4301, "9" * 100_000, "10**9", "1000000000", "16384",
    "16385", "100000000",
)  # fmt: skip
_NUMBERS = (
    "0.0", "-0.0", "1e-400", "1e400", "-1e400", "5e-324", "1.7976931348623157e308", "1e-8", "1.", ".5", "1e", "1e+",
    "0.1.2", "1j", "1e999999999", "0." + "3" * 100_000, "1e1", "1e9", "nan", "inf", "-1.0", "2.5",
)  # fmt: skip
_TEXTS = (
    "", "x", "table1", "door-open", "reach", "nowhere", "stores/metaworld.policies.h5",
    "stores/cheetah-vel.policies.h5",
    "/dev/zero", "pipe", "/", ".", "..", "mine.gin", "x" * 300, "x" * 100_000, "\\x00", "\\ud800", "\\x1b[2J",
    "\u202e", "\\N{BULLET}", "\\x", "\\", "'", '"', "%X", "@Recipe()", "{}", "%s", "é", "\U0001f600", "a\\nb", "a b",
    "../../x",
)  # fmt: skip
_EXPRESSIONS = (
    "1 + 1", "2 ** 2", "'a' * 3", "'a' 'b'", "'a' +", "lambda: 0", "__import__('os').getcwd()", "open('x', 'w')",
    "[x for x in (1,)]", "1 if True else 2", "x", "a.b", "a[0]", "(1, 2", "1)", "{1: 2}", "{1, 2}", "{[]: 1}", "{{}}",
    "{%X: 1}", "{@Recipe(): 1}", "print", "1 2", "1,", ",", "(,)", "*x", "`x`", "$x", "?", "!", "1 # x", "'''", "'",
    '"', "True and False", "not True", "set()", "frozenset()", "dict()", "tuple()", "-'x'", "-(1,)", "+None", "0_0",
    "b''",     "''", "(yield)", "await x", "x := 1", "(x := 1)", "\\", "\t", "\x0c", "\x00",
)  # fmt: skip
_ODD_LINES = (
    "", " ", "\t", "=", "= 1", "x", "x =", "@x", "%x", "@x = 1", "%x = 1", "1 = 1", "'x' = 1", "(", ")", "include",
    "include x", "include ''", "include 'a' 'b'", "include = 1", "import = 1", "include.x = 1", "import.x = 1", "a.b.c",
    "a..b = 1", "a//b.c = 1", "/a.b = 1", "a/.b = 1", "a/b/ = 1", "Recipe.seeds = 1 Recipe.seeds = 2", "Recipe:",
    "Recipe: seeds = 1", "Recipe:\nseeds = 1", "Recipe:\n  seeds =\n    1", "Recipe:\n  seeds: 1",
    "Recipe:\n\tseeds = 1", "Recipe.seeds = 1;", "Recipe.seeds := 1", "   Recipe.seeds = 1", "#", "# x", "\ufeff",
    "\ufeffRecipe.seeds = 1",     "\x00", "Recipe.seeds = 1\x00", "\x0c", "\x1b[2J", "def f(): pass", "@property",
    "x = yield", "class X: pass",
    "Recipe.seeds = (\n\n1", "Recipe.name = '''\nx", "Recipe.seeds = 1 \\", "wide/Recipe:\n  seeds = 1", "import",
    "from x import", "from . import x", "import os, sys", "import a.b.c as d", "Recipe.seeds = %Recipe.seeds",
    "Recipe.seeds = @Recipe", "Recipe = 1", "gin.REQUIRED = 1", "Recipe.seeds = %gin.REQUIRED", "x" * 100_000,
    "Recipe." + "x" * 10_000 + " = 1", "é = 1", "\U0001d411ecipe.seeds = 1", "Recipe.\u017feeds = 1",
)  # fmt: skip
_INSERTED = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r", b"\t", b"'", b'"', b"(", b")", b"@", b"%", b"=", b"\\", b"#",
    b"\xed\xa0\x80", b"\x1b[2J", b" ", b"'''", b"{", b"/", b"0", b"()", b"include 'mine.gin'\n", b"x = 1\n", b"\x0c",
)  # fmt: skip
