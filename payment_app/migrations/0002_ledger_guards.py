"""PostgreSQL refuses what the ledger must never hold: a transaction that does not balance, a changed row.

SQLite, the embedded default, has only the check in `ledger.posted`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations

APPEND_ONLY = ("payment_refund", "payment_refundoutcome", "payment_ledgertransaction", "payment_posting")

FUNCTIONS = """
CREATE FUNCTION payment_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: correct it with a new row', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION payment_check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    checked uuid := (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
    wrong text;
BEGIN
    IF NOT EXISTS (SELECT FROM payment_posting WHERE transaction_id = checked) THEN
        RAISE EXCEPTION 'ledger transaction % has no postings', checked USING ERRCODE = 'check_violation';
    END IF;
    SELECT string_agg(total || ' ' || currency, ', ') INTO wrong FROM (
        SELECT account.currency, sum(posting.amount) AS total
        FROM payment_posting posting JOIN payment_account account ON account.id = posting.account_id
        WHERE posting.transaction_id = checked
        GROUP BY account.currency HAVING sum(posting.amount) <> 0
    ) sums;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'ledger transaction % does not sum to zero: %', checked, wrong
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
"""

# Deferred, since a transaction balances only when its last posting is written.
BALANCE = """
CREATE CONSTRAINT TRIGGER ledger_transaction_balances AFTER INSERT ON payment_ledgertransaction
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payment_check_balance('id');
CREATE CONSTRAINT TRIGGER posting_balances AFTER INSERT ON payment_posting
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payment_check_balance('transaction_id');
"""


def guard(apps: Any, editor: Any) -> None:
    if editor.connection.vendor != "postgresql":
        return
    editor.execute(FUNCTIONS, params=None)
    editor.execute(BALANCE, params=None)
    for table in APPEND_ONLY:
        editor.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION payment_refuse_change()",
            params=None,
        )


def unguard(apps: Any, editor: Any) -> None:
    if editor.connection.vendor != "postgresql":
        return
    for table in APPEND_ONLY:
        editor.execute(f"DROP TRIGGER {table}_append_only ON {table}", params=None)
    editor.execute("DROP TRIGGER ledger_transaction_balances ON payment_ledgertransaction", params=None)
    editor.execute("DROP TRIGGER posting_balances ON payment_posting", params=None)
    editor.execute("DROP FUNCTION payment_refuse_change(), payment_check_balance()", params=None)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("payment", "0001_initial")]
    operations: ClassVar = [migrations.RunPython(guard, unguard)]
