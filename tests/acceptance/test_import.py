"""Invoices come in through the services' own doors: the clean ones once, the dirty ones never."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from order_project.importing.invoices import read_invoices
from tests.acceptance.checkout import USER, as_user, copy_checkout, needs_root
from tests.acceptance.shop import Shop
from tests.long_form import draw

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
DATE = "1/12/2010 8:26"
CLEAN = [
    f"900001,IMP-A,WHITE LANTERN,6,{DATE},2.55,17850,United Kingdom",
    f'900001,IMP-B,"BOX, SMALL",2,{DATE},3.39,17850,United Kingdom',
    f"900001,IMP-A,WHITE LANTERN,4,{DATE},2.10,17850,United Kingdom",
    f"900002,IMP-B,,1,{DATE},3.39,13047,EIRE",
    f"900003,IMP-C,UNION MUG,48,{DATE},0.85,12583,France",
]
# code -> an invoice that is refused for it; all but the first have a clean row as well
DIRTY = {
    "credit_note": ["C900010", "IMP-A", "LANTERN", "-6", "2.55", "17850", "United Kingdom"],
    "negative_quantity": ["900011", "IMP-A", "LANTERN", "-1", "2.55", "17850", "United Kingdom"],
    "bad_quantity": ["900012", "IMP-A", "LANTERN", "many", "2.55", "17850", "United Kingdom"],
    "zero_price": ["900013", "IMP-A", "LANTERN", "1", "0.00", "17850", "United Kingdom"],
    "bad_price": ["900014", "IMP-A", "LANTERN", "1", "?", "17850", "United Kingdom"],
    "missing_customer": ["900015", "IMP-A", "LANTERN", "1", "2.55", "", "United Kingdom"],
    "missing_product": ["900016", "", "LANTERN", "1", "2.55", "17850", "United Kingdom"],
    "unknown_country": ["900017", "IMP-A", "LANTERN", "1", "2.55", "17850", "Atlantis"],
    "two_customers": ["900018", "IMP-A", "LANTERN", "1", "2.55", "99999", "United Kingdom"],
}


def invoice_file(folder: Path) -> tuple[Path, dict[int, str]]:
    """Write the file; return it with the code that the report must give for each dirty line."""
    lines, expected = [HEADER, *CLEAN], {}
    for code, (number, sku, name, quantity, price, customer, country) in DIRTY.items():
        if not number.startswith("C"):
            lines.append(f"{number},IMP-B,BOX,1,{DATE},3.39,17850,United Kingdom")
        lines.append(f"{number},{sku},{name},{quantity},{DATE},{price},{customer},{country}")
        expected[len(lines)] = code
    path = folder / "invoices.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path, expected


SOME_REJECTED = 3
# Of 600 real invoices.
DRAWN = 150


def run_import(shop: Shop, path: Path, report: Path) -> str:
    # Hundreds of large orders at once need the deadline they have in earnest.
    settings = {"SAGA_TIME_SCALE": "1"}
    arguments = ("import_orders", str(path), "--report", str(report))
    done = shop.command_with(settings, "order", *arguments, patience=400)
    assert done.returncode == SOME_REJECTED, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Image:
    """The folders of a container: its code, which belongs to root, and the one of temporary files."""

    folder: Path

    @property
    def var(self) -> Path:
        return self.folder / "app" / "var"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def run(self, shop: Shop, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the order service as the container's user; its standard input is a pipe of root's."""
        places = {"ORDER_SAGA_VAR": str(self.var), "STATIC_FOLDER": "", "TMPDIR": str(self.temporary)}
        return subprocess.run(
            [self.folder / "app" / ".venv" / "bin" / "python", "manage.py", "order", *arguments],
            cwd=self.folder / "app",
            env={**shop.stack.environment, **places, "COLUMNS": "200"},
            input=given,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
            **as_user(),
        )


def sum_invoices(path: Path) -> dict[str, Decimal]:
    """What each invoice of the file costs, in pence."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    with path.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            totals[row["InvoiceNo"]] += 100 * int(row["Quantity"]) * Decimal(row["UnitPrice"])
    return totals


def count_invoices(path: Path) -> tuple[int, int]:
    """How many invoices the file has, and how many of them are clean."""
    file = read_invoices(path.read_bytes())
    return len(file.invoices), len(file.clean)


def draw_invoices(whole: Path, path: Path) -> Path:
    """Write the rows of drawn invoices of a file into another one."""
    header, *rows = whole.read_text(encoding="utf-8").splitlines(keepends=True)
    numbers = list(dict.fromkeys(map(read_number, rows)))
    drawn = {*draw(numbers, DRAWN)}
    path.write_text(header + "".join(row for row in rows if read_number(row) in drawn), encoding="utf-8")
    return path


def read_number(row: str) -> str:
    return row.partition(",")[0]


def last_line(output: str) -> str:
    return output.strip().splitlines()[-1]


class TestImport:
    def test_places_clean_invoices_once_and_says_why_of_the_others(self, shop: Shop, tmp_path: Path) -> None:
        path, expected = invoice_file(tmp_path)
        output = run_import(shop, path, tmp_path / "report.csv")
        assert last_line(output) == f"import: {3 + len(DIRTY)} invoices, 3 placed, {len(DIRTY)} rejected"
        assert re.search(r"completed\D+3\b", output)
        with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as report:
            found = {int(row["line"]): row["code"] for row in csv.DictReader(report)}
        assert found == expected

        query = (
            "SELECT o.reference, o.total, o.status, l.sku, l.quantity, l.unit_price FROM order_order o"
            " JOIN order_orderline l ON l.order_id = o.id WHERE o.reference LIKE '9000%%' ORDER BY 1, 4, 5"
        )
        rows = shop.rows("order", query)
        assert [tuple(row.values()) for row in rows] == [
            ("900001", 3048, "confirmed", "IMP-A", 4, 210),
            ("900001", 3048, "confirmed", "IMP-A", 6, 255),
            ("900001", 3048, "confirmed", "IMP-B", 2, 339),
            ("900002", 339, "confirmed", "IMP-B", 1, 339),
            ("900003", 4080, "confirmed", "IMP-C", 48, 85),
        ]
        again = run_import(shop, path, tmp_path / "second.csv")
        assert "3 invoices had been placed by an earlier run" in again
        assert last_line(again) == last_line(output)
        assert shop.rows("order", query) == rows

    @pytest.mark.skipif(
        "ORDER_SAGA_INVOICES" not in os.environ, reason="ORDER_SAGA_INVOICES names no file of invoices"
    )
    def test_600_real_invoices(self, shop: Shop, tmp_path: Path) -> None:
        """All of them are sorted; some that are drawn are placed, or all in the long form."""
        whole = Path(os.environ["ORDER_SAGA_INVOICES"])
        assert count_invoices(whole) == (600, 471)
        path = draw_invoices(whole, tmp_path / "drawn.csv")
        count, clean = count_invoices(path)
        for _ in range(2):
            output = run_import(shop, path, tmp_path / "report.csv")
            assert last_line(output) == f"import: {count} invoices, {clean} placed, {count - clean} rejected"
            assert re.search(rf"completed\D+{clean}\b", output)
            assert f"prices: 0 of {clean} orders differ from their invoices" in output
        invoices = sum_invoices(path)
        query = "SELECT reference, total FROM order_order WHERE reference = ANY(%s)"
        orders = {row["reference"]: row["total"] for row in shop.rows("order", query, list(invoices))}
        assert len(orders) == clean
        assert orders == {number: invoices[number] for number in orders}

    def test_a_file_that_is_none(self, shop: Shop, tmp_path: Path) -> None:
        path = tmp_path / "none.csv"
        path.write_text("Invoice,Product\n1,2\n")
        done = shop.command("order", "import_orders", str(path))
        assert done.returncode == 4
        assert "lacks the columns" in done.stderr


@needs_root
class TestInAContainer:
    """Code, working folder and standard input are root's, and only the folder of temporary files is writable."""

    FILE = f"{HEADER}\n900021,IMP-D,TRAY,1,{DATE},2.10,17850,Northern Ireland\n900022,IMP-D,TRAY,0,{DATE},2.10,1,EIRE\n"

    @pytest.fixture(scope="class")
    def image(self) -> Iterator[Image]:
        folder = Path(tempfile.mkdtemp(prefix="order-saga-image-"))
        try:
            copy_checkout(folder / "app")
            (folder / "app" / "var").mkdir()
            subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
            (folder / "tmp").mkdir()
            shutil.chown(folder / "tmp", USER)
            yield Image(folder)
        finally:
            shutil.rmtree(folder)

    @pytest.mark.parametrize("name", ["/dev/stdin", "-"])
    def test_the_file_comes_through_standard_input(self, shop: Shop, image: Image, name: str) -> None:
        """`docker compose … exec -T order-web python manage.py order import_orders /dev/stdin < invoices.csv`."""
        done = image.run(shop, "import_orders", name, given=self.FILE)
        assert done.returncode == SOME_REJECTED, done.stdout + done.stderr
        assert last_line(done.stdout) == "import: 2 invoices, 1 placed, 1 rejected"
        report = image.temporary / "import_orders-report.csv"
        assert f"{image.var} cannot be written" in done.stdout
        assert f"the report goes to {report}" in done.stdout
        assert "negative_quantity" in report.read_text()

    @pytest.mark.parametrize("command", [("import_orders", "-"), ("audit",), ("recover",)])
    def test_a_report_that_cannot_be_written_is_refused_before_the_work(
        self, shop: Shop, image: Image, command: tuple[str, ...]
    ) -> None:
        done = image.run(shop, *command, "--report", "report.csv", given=self.FILE.replace("90002", "90003"))
        assert done.returncode == 2, done.stdout + done.stderr
        assert "cannot be written" in done.stderr
        assert "Traceback" not in done.stderr
        assert shop.rows("order", "SELECT FROM order_order WHERE reference = '900031'") == []

    @pytest.mark.parametrize(("command", "begins"), [("audit", "order,"), ("recover", "state,")])
    def test_a_report_among_the_temporary_files(
        self, shop: Shop, image: Image, command: str, begins: str
    ) -> None:
        report = image.temporary / f"{command}.csv"
        done = image.run(shop, command, "--report", str(report))
        assert done.returncode == 0, done.stdout + done.stderr
        assert report.read_text().startswith(begins)
