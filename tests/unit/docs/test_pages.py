"""The pages say what the code does: commands, settings, error codes, metrics, contracts, URLs, links."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest

from celery_config.common.services import PACKAGES, SERVICES
from celery_config.sandbox.goods import CURRENCY, GOODS
from docs import alerts_table, messages_table, permissions_table, rules
from manage import SYSTEM_COMMANDS

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"
CODE = ["celery_config", "compose", *PACKAGES]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MODULES = [path for package in CODE for path in sorted((ROOT / package).rglob("*.py"))]
NAME = re.compile(r"^[A-Z{][A-Z0-9_{}]+$")
READERS = {"str", "int", "float", "bool", "list", "get", "database_settings", "owner_settings"}
# Set by the operating system, or by manage.py itself.
NOT_OURS = {"PATH", "DJANGO_SETTINGS_MODULE", "CELERY_SKIP_CHECKS"}
METRICS = {"Counter", "Gauge", "Histogram", "read_gauge"}
REFUSALS = {"Refused", "LineFault"}
SANDBOX_ERRORS = {"Refused", "InvalidRequest", "NotFound", "KeyConflict", "Broken", "__init__"}
STATES = {"payment_app": ("captured", "voided"), "compose": ("captured", "voided", "dispatched", "cancelled")}


def modules(*packages: str) -> Iterator[tuple[str, ast.Module]]:
    """Package and syntax tree of each module of the packages."""
    return ((package, tree) for package in packages for tree in trees_of(package))


@cache
def trees_of(package: str) -> list[ast.Module]:
    files = [path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts]
    return [ast.parse(path.read_text(encoding="utf-8")) for path in files]


def calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    """The calls of functions with these names, as `name(…)` or `x.name(…)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in names:
                yield node


def text_of(node: ast.AST | None) -> str:
    """A string, or an f-string with `{S}` for what is put in; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "{S}" for v in node.values)
    return ""


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def first_cells(text: str) -> set[str]:
    """What stands in backticks in the first column of the page's tables."""
    rows = re.findall(r"^\| *(`[^|]*?) *\|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


class TestCommands:
    def test_every_command_of_the_whole_system_is_described(self) -> None:
        assert {f"./manage.py {name}" for name in SYSTEM_COMMANDS} <= first_cells(page("commands"))

    def test_every_command_of_a_service_is_described(self) -> None:
        files = [
            f for p in CODE for f in (ROOT / p).rglob("management/commands/*.py") if f.stem != "__init__"
        ]
        described = {cell.split()[0] for cell in first_cells(page("commands"))}
        assert {file.stem for file in files} <= described

    def test_every_target_of_the_makefile_is_described(self) -> None:
        targets = re.findall(r"^(\w+): \$\(VENV\)", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {f"make {target}" for target in targets} <= first_cells(page("commands"))


class TestSettings:
    def test_what_is_read_is_described_and_what_is_described_is_read(self) -> None:
        described = expanded(first_cells(page("settings")))
        read = expanded({*read_by_code(), *read_by_compose()}) - NOT_OURS
        assert read - described == set(), "read, and not in docs/reference/settings.md"
        assert described - read == set(), "in docs/reference/settings.md, and read by nobody"


def expanded(names: set[str]) -> set[str]:
    return {name.replace("{S}", service.upper()) for name in names for service in SERVICES}


def read_by_code() -> Iterator[str]:
    for _, tree in modules(*CODE):
        nodes = [call.args[0] for call in calls(tree, READERS) if call.args]
        nodes += [
            node.slice
            for node in ast.walk(tree)
            if isinstance(node, ast.Subscript) and is_environ(node.value)
        ]
        nodes += [
            node.left
            for node in ast.walk(tree)
            if isinstance(node, ast.Compare) and is_environ(node.comparators[0])
        ]
        yield from (name for node in nodes if NAME.match(name := text_of(node)))


def is_environ(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def read_by_compose() -> Iterator[str]:
    yield from re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose" / "compose.yaml").read_text())
    yield from re.findall(r"^#? ?([A-Z_]+)=", (ROOT / "compose" / ".env.example").read_text(), re.MULTILINE)


class TestErrors:
    def test_every_stable_code_is_described(self) -> None:
        described = first_cells(page("errors")) | set(re.findall(r"\| `(\w+)` \|", page("errors")))
        assert {
            *codes_of_classes(),
            *codes_of_refusals(),
            *codes_of_causes(),
            *codes_of_rows(),
        } - described - {""} == set()

    def test_every_code_of_the_sandbox_is_described_twice(self) -> None:
        codes = {*codes_of_sandbox()}
        assert codes - first_cells(page("errors").partition("## Of the sandbox")[2]) == set()
        assert {code for code in codes if f"`{code}`" not in page("sandbox")} == set()

    def test_every_error_class_of_the_services_and_the_engine_is_described(self) -> None:
        # The order service's are HTTP answers, known by their codes.
        files = [ROOT / p / "errors.py" for p in CODE if p != "order_project"]
        trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files if file.exists()]
        # Bases that nobody raises, and what both tables of codes are about.
        bases = {"OrderSagaError", "CodedError", "PaymentError", "Refused", "OutcomeUnknown"}
        # Answers of inventory's API, known by their codes.
        answers = {"UnknownProduct", "RepeatedProduct", "StockBelowReserved", "AdjustmentConflict"}
        names = {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}
        assert names - bases - answers - first_cells(page("errors")) == set()


def codes_of_classes() -> Iterator[str]:
    """`code = "…"` and `default_code = "…"` in the classes of errors."""
    for _, tree in modules(*CODE):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for line in node.body:
                    if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") in (
                        "code",
                        "default_code",
                    ):
                        yield text_of(line.value)


def codes_of_refusals() -> Iterator[str]:
    for package, tree in modules("celery_config", *PACKAGES):
        for call in calls(tree, REFUSALS):
            code = text_of(call.args[0]) if call.args else ""
            yield from states_of(code, package) if code else ()


def codes_of_sandbox() -> Iterator[str]:
    for package, tree in modules("compose"):
        for call in calls(tree, SANDBOX_ERRORS):
            code = text_of(call.args[0]) if call.args else ""
            yield from states_of(code, package) if re.fullmatch(r"[a-z_{S}]+", code) else ()


def states_of(code: str, package: str) -> list[str]:
    return [code.replace("{S}", state) for state in STATES[package]] if "{S}" in code else [code]


def codes_of_causes() -> Iterator[str]:
    """`code="…"` in a call, and `"code": "…"`, `code = "…" if … else "…"` of a cause."""
    for _, tree in modules("celery_config", *PACKAGES):
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "code":
                yield from strings(node.value)
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    yield from strings(value) if text_of(key) == "code" else ()
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "code":
                yield from strings(node.value)


def strings(node: ast.AST) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*strings(node.body), *strings(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def codes_of_rows() -> Iterator[str]:
    tree = ast.parse((ROOT / "order_project" / "importing" / "invoices.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
            yield text_of(node.value.elts[0])


def test_every_metric_is_described_and_no_other() -> None:
    names = {
        text_of(call.args[0])
        for _, tree in modules(*CODE)
        for call in calls(tree, METRICS)
        if call.args and text_of(call.args[0]).startswith("order_saga_")
    }
    rows = {cell for cell in first_cells(page("metrics")) if re.fullmatch(r"order_saga_\w+", cell)}
    assert rows == names


@pytest.mark.parametrize("page", alerts_table.PAGES, ids=lambda page: page.stem)
def test_the_alerts_are_those_of_the_rules(page: Path) -> None:
    """After a change of compose/monitoring/rules.yaml: `python -m docs.alerts_table`."""
    assert page.read_text(encoding="utf-8") == alerts_table.bring_up_to_date(page)


def test_the_table_of_permissions_is_the_one_that_the_tests_try() -> None:
    """After a change of docs/reference/permissions.yaml: `python -m docs.permissions_table`."""
    assert permissions_table.PAGE.read_text(encoding="utf-8") == permissions_table.page()


def test_the_tables_of_messages_are_those_of_the_contracts() -> None:
    """After a change of a contract: `python -m docs.messages_table`."""
    assert messages_table.PAGE.read_text(encoding="utf-8") == messages_table.page()


@pytest.mark.parametrize("package", ["celery_config", *PACKAGES])
def test_every_url_is_described(package: str) -> None:
    described = set(re.findall(r"`(/[^` ?]*)`", page("api")))
    for file in [ROOT / package / "urls.py", ROOT / package / "api.py"]:
        if not file.exists():
            continue
        for call in calls(ast.parse(file.read_text()), {"path"}):
            route = re.sub(
                r"<\w+:(\w+)>", lambda m: "{id}" if m[1] == "pk" else f"{{{m[1]}}}", text_of(call.args[0])
            )
            url = f"/{route}" if file.name == "urls.py" else f"/api/{route}"
            if url == "/api/":  # under which a service's own are
                continue
            assert url in described, f"{url} is not in docs/reference/api.md"


class TestPages:
    @pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_links_lead_somewhere(self, path: Path) -> None:
        prose = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.exists(), f"{path.name} links to {link}"
            assert not anchor or anchor in anchors(target), (
                f"{path.name} links to {link}, a heading that is not there"
            )

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_requests_in_the_pages_are_those_of_a_person(self, path: Path) -> None:
        """A person's token begins with Token; what stands behind Bearer is a service's, which opens no verb."""
        blocks = re.findall(r"```[a-z]*\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        assert not [block for block in blocks if "curl" in block and "Authorization: Bearer" in block]

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_python_in_the_pages_is_python(self, path: Path) -> None:
        for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            ast.parse(dedent(block))

    @pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
    def test_what_python_in_the_pages_imports_exists(self, path: Path) -> None:
        """But for what the page itself tells its reader to write."""
        blocks = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        trees = [ast.parse(dedent(block)) for block in blocks]
        written = {
            n.name for tree in trees for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))
        }
        imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        for node in imports:
            file = ROOT / (node.module or "").replace(".", "/")
            file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
            if file.exists():
                there = names_defined(ast.parse(file.read_text(encoding="utf-8"))) | written
                there |= {each.stem for each in file.parent.iterdir() if file.name == "__init__.py"}
                assert {alias.name for alias in node.names} <= there, f"{path.name}: {ast.unparse(node)}"

    def test_what_they_order_is_what_up_puts_on_empty_shelves(self) -> None:
        asked = re.compile(r'"lines": \[\{"sku": "([^"]+)".*?"currency": "(\w+)"', re.DOTALL)
        orders = [order for path in PAGES for order in asked.findall(path.read_text(encoding="utf-8"))]
        assert len(orders) >= 2
        assert {*orders} <= {(good.sku, CURRENCY) for good in GOODS}

    def test_the_flow_in_the_readme_is_the_flow(self) -> None:
        (block,) = re.findall(
            r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
        )
        assert block in (ROOT / "order_project" / "sagas" / "place_order.py").read_text(encoding="utf-8")

    def test_every_page_can_be_found_from_the_readme(self) -> None:
        """By its links, or by those of an index to which it links."""
        readme = ROOT / "README.md"
        indexes = {readme, *(page for page in find_links(readme) if page.name == "README.md")}
        found = indexes.union(*map(find_links, indexes))
        assert {str(page.relative_to(ROOT)) for page in PAGES if page not in found} == set()


class TestRules:
    def test_every_rule_has_a_name_and_no_two_share_one(self) -> None:
        assert list(rules.read_names()) == list(range(1, 31))
        assert len(set(rules.read_names().values())) == 30

    def test_the_list_of_names_is_that_of_the_rules(self) -> None:
        listed = (
            (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8").partition("## The rules by name")[2]
        )
        assert re.findall(r"(\d+) ([\w ]+?)(?= [·|])", listed) == [
            (str(n), x) for n, x in rules.read_names().items()
        ]

    @pytest.mark.parametrize("path", [*PAGES, *MODULES], ids=lambda path: str(path.relative_to(ROOT)))
    def test_a_page_or_module_mentions_a_rule_with_its_name(self, path: Path) -> None:
        text = " ".join(path.read_text(encoding="utf-8").replace("#", "").split())
        for number, after in re.findall(r"\brule (\d+)(.{,40})", text):
            name = rules.read_names()[int(number)]
            assert after.startswith((f", {name}", f" ({name})")), f"{path.name}: rule {number} is {name}"


class TestDecisions:
    RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

    def test_they_are_numbered_without_a_gap(self) -> None:
        numbers = [int(path.name[:4]) for path in self.RECORDS]
        assert numbers == list(range(1, len(numbers) + 1))

    @pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
    def test_a_record_has_the_four_parts_and_stays_short(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. ")
        assert re.search(r"^Status: (accepted|superseded by \[\d+\]\(.+\))$", text, re.MULTILINE)
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
        assert len(text.splitlines()) < 40


def test_nothing_speaks_of_the_machine_it_was_written_on() -> None:
    texts = [*PAGES, *(ROOT / "docs").rglob("*.py"), *(f for p in CODE for f in (ROOT / p).rglob("*.py"))]
    forbidden = re.compile(r"(?<![\w.$])/(?:work|root|home/\w+)/|/tmp/")
    assert [str(p.relative_to(ROOT)) for p in texts if forbidden.search(p.read_text(encoding="utf-8"))] == []


def names_defined(tree: ast.Module) -> set[str]:
    """The names that a module binds on its first level."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names


def find_links(path: Path) -> set[Path]:
    """The files of the project to which a page links."""
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    return {(path.parent / link.partition("#")[0]).resolve() for link in links}


def anchors(path: Path) -> set[str]:
    """The anchors that the page's headings make."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
