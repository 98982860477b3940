"""`import_orders` says where each line of the file went, and what of it is not in."""

from __future__ import annotations

import csv
import errno
import io
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import pytest
from django.core.management import CommandError, call_command

from celery_config.errors import SagaPaused
from order_project.importing import report, service, source
from order_project.importing.invoices import Fault
from order_project.models import CatalogueProduct, Order
from tests.service.order.conftest import HEART, LAMP, Shop

HEADER = "InvoiceNo,StockCode,Description,Quantity,UnitPrice,CustomerID,Country"
UPLOAD = service.Upload(new=1, cut=1, existing=2, priced_differently=1)
FIRST = f"900001,{HEART},HEART,6,2.55,17850,United Kingdom"
SECOND = f"900002,{LAMP},LAMP,1,3.00,17850,Turkey"
FAULTY = f"900003,{LAMP},LAMP,0,3.00,17850,Turkey"


@pytest.fixture(autouse=True)
def _others(shop: Shop, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inventory has taken the catalogue, and the orders end: both are other processes' work."""
    settings.VAR = tmp_path / "var"
    CatalogueProduct.objects.update(currency="GBP")
    monkeypatch.setattr(service, "upload_catalogue", lambda products, opening: UPLOAD)
    monkeypatch.setattr(service, "wait_for_ends", lambda orders, *_, patience: Counter(completed=len(orders)))


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Return the exit code and what was printed."""
    code = 0
    try:
        call_command("import_orders", *arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, capsys.readouterr().out.splitlines()


def write(folder: Path, *rows: str) -> str:
    path = folder / "invoices.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("rows", "code", "lines", "last"),
    [
        ([FIRST, SECOND], 0, (3, 2, 0, 0), (2, 2, 0)),
        ([FIRST, "", FAULTY], 3, (4, 1, 1, 1), (2, 1, 1)),
        ([FAULTY], 4, (2, 0, 1, 0), (1, 0, 1)),
    ],
)
def test_the_exit_code_and_the_summary(
    rows: list[str],
    code: int,
    lines: tuple[int, ...],
    last: tuple[int, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended, printed = run(write(tmp_path, *rows), capsys=capsys)
    total, placed, rejected, empty = lines
    assert ended == code
    assert printed[-4:] == [
        f"lines: {total} in the file, 1 of the header, {placed} of placed invoices, {rejected} of rejected ones,"
        f" {empty} empty",
        f"addresses: {last[1]} of {last[1]} orders have an incomplete one; a carrier that needs more refuses",
        f"prices: 0 of {last[1]} orders differ from their invoices",
        "import: {} invoices, {} placed, {} rejected".format(*last),
    ]


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_the_file_may_be_standard_input(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"{HEADER}\n{FIRST}\n".encode("utf-16")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert run(name, capsys=capsys)[0] == 0
    assert Order.objects.get().reference == "900001"


def test_each_line_has_the_price_of_its_own_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, FIRST, FIRST.replace("2.55", "200.00"))
    assert run(path, capsys=capsys)[0] == 0
    assert Order.objects.get().total == 6 * 255 + 6 * 20_000


def test_with_the_catalogues_prices_it_says_how_many_orders_differ_and_by_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, FIRST, SECOND, FIRST.replace("900001", "900004").replace("2.55", "200.00"))
    code, printed = run(path, "--prices", "catalogue", capsys=capsys)
    assert code == 0
    assert list(Order.objects.order_by("reference").values_list("total", flat=True)) == [1530, 339, 1530]
    assert printed[-2] == (
        "prices: 2 of 3 orders differ from their invoices: 0.39 GBP more and 1,184.70 less in all"
    )


def test_the_report_is_opened_before_anything_is_placed(tmp_path: Path) -> None:
    path = write(tmp_path, FIRST)
    with pytest.raises(CommandError, match=r"report.csv' cannot be written: there is no folder"):
        call_command("import_orders", path, "--report", f"{path}/report.csv")
    assert not Order.objects.exists()


def test_without_a_place_of_its_own_the_report_is_among_the_temporary_files(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container, whose files are read-only."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = write(tmp_path, FIRST, FAULTY)
    settings.VAR = Path(path) / "var"
    code, printed = run(path, capsys=capsys)
    assert code == 3
    assert [line for line in printed if "cannot be written" in line and str(tmp_path) in line]
    with (tmp_path / "import_orders-report.csv").open(encoding="utf-8", newline="") as report:
        assert [row["code"] for row in csv.DictReader(report)] == ["negative_quantity"]


def test_a_report_has_the_faults_of_the_file_even_if_placing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise service.Stalled("nothing moves")

    monkeypatch.setattr(service, "place_invoices", fail)
    with pytest.raises(CommandError, match="nothing moves"):
        call_command("import_orders", write(tmp_path, FIRST, FAULTY))
    assert "negative_quantity" in (tmp_path / "var" / "import_orders-report.csv").read_text()


def test_the_summary_says_what_became_of_the_products(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run(write(tmp_path, FIRST), capsys=capsys)[1]
    assert printed[-5] == (
        "products: 1 new (1 with a name cut to 200 characters), 2 in inventory already and left as they are,"
        " 1 of these with another price"
    )


def test_rows_without_a_certain_number_are_said_and_the_prices_are_not_vouched_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt, third = (FIRST.replace("900001", number) for number in ("9.00E+05", "900005"))
    code, printed = run(write(tmp_path, FIRST, spoilt, SECOND, third), capsys=capsys)
    said = "rows: 1 without a certain invoice number (line 3); the invoices beside them are rejected"
    assert (code, printed[-6]) == (3, said)
    assert printed[-4].startswith(
        "lines: 5 in the file, 1 of the header, 1 of placed invoices, 3 of rejected"
    )
    assert printed[-2:] == [
        "prices: 0 of 1 orders differ from their invoices",
        "import: 3 invoices, 1 placed, 2 rejected",
    ]
    _, printed = run(write(tmp_path, FIRST, spoilt, SECOND, third, SECOND), capsys=capsys)
    assert printed[-6].endswith("stand apart in this file, so they may belong to any other, too")
    assert printed[-2] == "prices: 0 of 1 orders differ from what was read of their invoices"


@pytest.mark.parametrize("name", ["invoices.csv", "other.csv"])
def test_the_report_is_never_the_file_of_invoices(name: str, tmp_path: Path) -> None:
    path = Path(write(tmp_path, FIRST))
    before = path.read_bytes()
    if not (tmp_path / name).exists():
        (tmp_path / name).hardlink_to(path)
    with pytest.raises(CommandError, match="is the file of invoices") as refused:
        call_command("import_orders", str(path), f"--report={tmp_path / name}")
    assert refused.value.returncode == 2
    assert path.read_bytes() == before
    assert not Order.objects.exists()


def test_the_folder_of_the_report_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"there is no folder '{tmp_path / 'none'}'"):
        call_command("import_orders", write(tmp_path, FIRST), f"--report={tmp_path / 'none' / 'report.csv'}")
    assert not (tmp_path / "none").exists()
    assert not Order.objects.exists()


@pytest.mark.parametrize("arguments", [("",), (" ",), ("invoices.csv", "--report=")])
def test_a_file_without_a_name(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="the name of the file is empty"):
        call_command("import_orders", *arguments)


@pytest.mark.parametrize(
    "option",
    [
        "--encoding=klingon",
        "--encoding=\udcff",
        "--token= ",
        "--token=" + "x" * 201,
        "--token=\udcff",
        "--token=a\nb",
        "--token=a b",
        "--token=tok_é",
    ],
)
def test_an_option_that_nothing_can_use(option: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"there is no encoding|is no payment token"):
        call_command("import_orders", write(tmp_path, FIRST), option)


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot be written, so nothing was placed: .*No space left"):
        call_command("import_orders", write(tmp_path, FIRST), "--report=/dev/full")
    assert not Order.objects.exists()


def test_a_disk_that_is_full_when_the_orders_are_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(out: TextIO, faults: Sequence[Fault]) -> None:
        if Order.objects.exists():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "write_faults", fill)
    with pytest.raises(CommandError, match="1 orders were placed, and 0 refused, but the report cannot be"):
        call_command("import_orders", write(tmp_path, FIRST))


@pytest.mark.parametrize("quantity", ["-3", "1.5", "many", "1000000000001", "1_0"])
def test_an_opening_stock_that_is_none(quantity: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no whole number from 0 to"):
        call_command("import_orders", write(tmp_path, FIRST), f"--quantity={quantity}")
    assert not Order.objects.exists()


def test_an_encoding_that_nothing_proves_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "invoices.csv"
    path.write_bytes(f"{HEADER}\n{FIRST.replace('HEART,', 'CAFÉ,')}\n".encode("latin-1"))
    code, printed = run(str(path), capsys=capsys)
    assert code == 0
    assert "is read as Windows-1252 (Latin-1)" in printed[0]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"a,b\n", "lacks the columns"),
        (f"{HEADER}\n".encode(), "The file has no invoices."),
        (f"{HEADER}\n\n,,,,,,\n".encode(), "The file has no invoices."),
    ],
)
def test_a_file_of_which_nothing_is_usable(content: bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "invoices.csv"
    if content is not None:
        path.write_bytes(content)
    kept = tmp_path / "var" / "import_orders-report.csv"
    kept.parent.mkdir()
    kept.write_text("of an earlier run")
    with pytest.raises(CommandError, match=says) as refused:
        call_command("import_orders", str(path))
    assert refused.value.returncode == 4
    with kept.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["line"], row["invoice"], row["code"]) == ("", "", "unusable_file")
    assert says in row["detail"]


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("name", ["invoices.csv", "-"])
def test_a_file_may_have_so_many_bytes_and_no_more(
    name: str, more: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"{HEADER}\n{FIRST}\n".encode()
    monkeypatch.setattr(source, "MOST_BYTES", len(data) - more)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    (tmp_path / name).write_bytes(data)
    path = name if name == "-" else str(tmp_path / name)
    if more:
        with pytest.raises(CommandError, match="bytes: split it into several files") as refused:
            call_command("import_orders", path)
        assert refused.value.returncode == 4
    else:
        assert run(path, capsys=capsys)[0] == 0
    assert Order.objects.count() == 1 - more


def test_a_pause_says_what_is_placed_and_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def place(requests: Sequence[Any]) -> Any:
        if Order.objects.exists():
            raise SagaPaused("new orders are paused")
        return submit(requests)

    submit = service.submit_requests
    monkeypatch.setattr(service, "AT_ONCE", 1)
    monkeypatch.setattr(service, "submit_requests", place)
    path = write(tmp_path, FIRST, SECOND, FAULTY)
    with pytest.raises(
        CommandError, match=r"paused\. Run the import again .* places nothing twice"
    ) as stopped:
        call_command("import_orders", path)
    assert stopped.value.returncode == 1
    assert (
        capsys.readouterr().out.splitlines()[-1] == "import: 3 invoices, 1 placed, 1 rejected, 1 not placed"
    )
    with (tmp_path / "var" / "import_orders-report.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["invoice"], row["code"]) for row in csv.DictReader(file)]
    assert rows == [("900003", "negative_quantity"), ("900002", "not_placed")]
    monkeypatch.setattr(service, "submit_requests", submit)
    assert run(path, capsys=capsys)[0] == 3
    assert Order.objects.count() == 2
