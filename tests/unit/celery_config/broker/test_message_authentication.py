"""A code is made by two services alone, covers all that a message says, and any of several keys may have made it."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest

from celery_config.broker.message_authentication import PROOF, WORDS, MessageKeys, Mode, read_keys
from celery_config.errors import Forged

TASK = "payment.capture_payment"
KWARGS: dict[str, Any] = {
    "saga": "0193", "step": "capture-payment", "attempt": 0, "operation": "do",
    "command": {"order": "1", "ratio": 1.5, "lines": [{"sku": "Ä", "quantity": 2}]}, "needs": {"payment": "authorize"},
}  # fmt: skip
ORDER = MessageKeys({"payment": (b"p",), "shipment": (b"s",), "order": (b"o",)}, Mode.REQUIRE)
PAYMENT = MessageKeys({"payment": (b"p",)}, Mode.REQUIRE)
SHIPMENT = MessageKeys({"shipment": (b"s",)}, Mode.REQUIRE)
REPLY = {"payment": "7", "captured_amount": 100}


def sent(keys: MessageKeys = ORDER, service: str = "payment", **changed: Any) -> dict[str, Any]:
    """The message as it arrives: through JSON, its fields in another order."""
    kwargs = KWARGS | keys.sign_message(service, TASK, KWARGS) | changed
    return json.loads(json.dumps(kwargs, sort_keys=True))  # type: ignore[no-any-return]


class TestMessages:
    def test_its_own_service_takes_it(self) -> None:
        PAYMENT.check_message("payment", TASK, sent())
        PAYMENT.check_message("payment", TASK, sent(attempt=3))  # which only tells tries apart

    @pytest.mark.parametrize(
        "changed",
        [
            {"saga": "0194"}, {"step": "x"}, {"operation": "undo"}, {"known": "done"}, {"needs": {}},
            {"command": KWARGS["command"] | {"order": "2"}}, {"mac": ""}, {"mac": None}, {"mac": "ä"}, {"mac": 5},
            {"command": {"order": "\ud800"}}, {"command": 2**2000},
        ],
        ids=str,
    )  # fmt: skip
    def test_whatever_is_changed_is_refused(self, changed: dict[str, Any]) -> None:
        with pytest.raises(Forged):
            PAYMENT.check_message("payment", TASK, sent() | changed)

    def test_another_task_is_refused(self) -> None:
        with pytest.raises(Forged, match="wrong"):
            PAYMENT.check_message("payment", "payment.refund_payment", sent())

    def test_another_participant_cannot_make_it(self) -> None:
        forged = KWARGS | SHIPMENT.sign_message("shipment", TASK, KWARGS)
        with pytest.raises(Forged, match="wrong"):
            PAYMENT.check_message("payment", TASK, forged)
        with pytest.raises(KeyError):
            SHIPMENT.sign_message("payment", TASK, KWARGS)

    def test_any_key_of_the_list_counts_and_the_first_makes_codes(self) -> None:
        both = MessageKeys({"payment": read_keys("new, p")}, Mode.REQUIRE)
        both.check_message("payment", TASK, sent())
        new = MessageKeys({"payment": (b"new",)}, Mode.REQUIRE)
        new.check_message("payment", TASK, sent(both))
        with pytest.raises(Forged):
            PAYMENT.check_message("payment", TASK, sent(both))

    @pytest.mark.parametrize("mode", [Mode.OFF, Mode.ACCEPT])
    def test_an_older_version_sends_none(self, mode: Mode) -> None:
        MessageKeys(PAYMENT.keys, mode).check_message("payment", TASK, KWARGS)
        with pytest.raises(Forged, match="missing"):
            PAYMENT.check_message("payment", TASK, KWARGS)

    def test_a_wrong_code_is_refused_while_none_is_demanded(self) -> None:
        with pytest.raises(Forged, match="wrong"):
            MessageKeys(PAYMENT.keys, Mode.ACCEPT).check_message("payment", TASK, sent(saga="0194"))

    def test_off_sends_none(self) -> None:
        assert MessageKeys(ORDER.keys).sign_message("payment", TASK, KWARGS) == {}
        assert MessageKeys(ORDER.keys).sign_outcome("payment", "1", "x", "do", "done", {}) == {}
        assert MessageKeys(ORDER.keys).make_locks("payment", "1", "x", "do") == []


class TestCodes:
    """Messages are on their way while services are updated, so what a code is never changes."""

    @pytest.mark.parametrize("length", [1, 64, 65, 200])
    def test_are_hmac_sha256(self, length: int) -> None:
        """Of a short key, one that fills SHA-256's block, and longer ones, which HMAC hashes first."""
        key = b"k" * length
        said = {name: value for name, value in KWARGS.items() if name != "attempt"}
        text = json.dumps(["message", TASK, said], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        code = hmac.digest(key, text.encode(), "sha256")[:16].hex()
        keys = MessageKeys({"payment": (key,)}, Mode.REQUIRE)
        for _ in range(2):  # the second is made from what is kept of the key
            assert keys.sign_message("payment", TASK, KWARGS) == {"mac": code}

    def test_of_a_release_before_are_the_same(self) -> None:
        step = ("payment", "0193", "capture-payment", "do")
        assert ORDER.sign_message("payment", TASK, KWARGS) == {"mac": "b05db92c58f27290d78d11f88ac0bdbe"}
        assert ORDER.make_locks(*step) == ["e962f1198bed541619bc472e"]
        assert PAYMENT.sign_outcome(*step, "done", REPLY) == {
            "capture-payment": "payment:c1e7cd33a7f7c044e31c8133d93ee46d",
            SHOWN: "d9316e13c6d3a1159ae251ead7738ac2",
        }


class TestWords:
    WORD = PAYMENT.sign_outcome("payment", "0193", "capture-payment", "do", "done", REPLY)["capture-payment"]

    def test_name_who_speaks(self) -> None:
        assert ORDER.find_speaker(self.WORD, "0193", "capture-payment", "done", REPLY) == "payment"

    def test_of_another_service_name_that_service(self) -> None:
        words = SHIPMENT.sign_outcome("shipment", "0193", "capture-payment", "do", "done", REPLY)
        word = words["capture-payment"]
        assert ORDER.find_speaker(word, "0193", "capture-payment", "done", REPLY) == "shipment"
        stolen = word.replace("shipment", "payment")
        assert ORDER.find_speaker(stolen, "0193", "capture-payment", "done", REPLY) is None

    @pytest.mark.parametrize(
        "about",
        [
            ("0194", "capture-payment", "done", REPLY),
            ("0193", "authorize-payment", "done", REPLY),
            ("0193", "capture-payment", "undone", REPLY),
            ("0193", "capture-payment", "done", REPLY | {"payment": "8"}),
            ("0193", "capture-payment", "done", None),
            ("0193", "capture-payment", "done", {"payment": "\ud800"}),
        ],
    )
    def test_count_for_what_they_say_alone(self, about: Any) -> None:
        assert ORDER.find_speaker(self.WORD, *about) is None

    @pytest.mark.parametrize("word", [None, "", 5, [], "payment:", "nobody:00"])
    def test_that_are_none(self, word: Any) -> None:
        assert ORDER.find_speaker(word, "0193", "capture-payment", "done", REPLY) is None

    def test_are_not_demanded_of_older_versions(self) -> None:
        accept = MessageKeys(ORDER.keys, Mode.ACCEPT)
        assert accept.find_speaker(None, "0193", "capture-payment", "done", REPLY) == ""
        assert accept.find_speaker("payment:00", "0193", "capture-payment", "done", REPLY) is None


SHOWN = f"capture-payment{PROOF}"


class TestLocks:
    """A link counts when the steps before it have run, and their own services say so."""

    STEP = ("0193", "capture-payment")
    INVENTORY = MessageKeys({"inventory": (b"i",)}, Mode.REQUIRE)
    LINK: dict[str, Any] = {"mac": "", "after": {"capture-payment": ORDER.make_locks("payment", *STEP, "do")}}

    def words(self, keys: MessageKeys = PAYMENT, service: str = "payment", operation: str = "do") -> Any:
        return {WORDS: keys.sign_outcome(service, *self.STEP, operation, "done", REPLY)}

    def test_open_by_the_word_of_the_step_before(self) -> None:
        SHIPMENT.check_turn(self.LINK, self.words())

    @pytest.mark.parametrize(
        "replies",
        [
            {}, {"capture-payment": REPLY}, {WORDS: {"capture-payment": "payment:00"}}, {WORDS: {SHOWN: "00"}},
            {WORDS: {SHOWN: 5}}, {WORDS: {SHOWN: "ää"}}, {WORDS: {SHOWN: "\ud800"}}, {WORDS: {SHOWN: ["00"]}},
        ],
        ids=str,
    )  # fmt: skip
    def test_stay_shut_without_it(self, replies: dict[str, Any]) -> None:
        with pytest.raises(Forged, match="nothing proves that capture-payment ran"):
            SHIPMENT.check_turn(self.LINK, replies)

    def test_stay_shut_for_another_service(self) -> None:
        with pytest.raises(Forged):
            SHIPMENT.check_turn(self.LINK, self.words(SHIPMENT, "shipment"))

    def test_stay_shut_for_another_operation(self) -> None:
        """The fence of a pivot does not say that the pivot ran."""
        with pytest.raises(Forged):
            SHIPMENT.check_turn(self.LINK, self.words(operation="fence"))

    def test_open_with_each_value_of_a_key_that_is_being_changed(self) -> None:
        both = MessageKeys({"payment": read_keys("new, p")}, Mode.REQUIRE)
        link = {"mac": "", "after": {"capture-payment": both.make_locks("payment", *self.STEP, "do")}}
        for key in (b"p", b"new"):
            SHIPMENT.check_turn(link, self.words(MessageKeys({"payment": (key,)}, Mode.REQUIRE)))

    def test_open_without_a_word_while_older_versions_are_taken(self) -> None:
        accept = MessageKeys(SHIPMENT.keys, Mode.ACCEPT)
        accept.check_turn(self.LINK, {})
        with pytest.raises(Forged):
            accept.check_turn(self.LINK, self.words(SHIPMENT, "shipment"))

    def test_are_not_opened_by_older_versions_whose_words_count_all_the_same(self) -> None:
        """They say `SERVICE:CODE`, and show no proof."""
        words = self.words()[WORDS]
        del words[SHOWN]
        word = words["capture-payment"]
        assert word.count(":") == 1
        assert ORDER.find_speaker(word, *self.STEP, "done", REPLY) == "payment"
        MessageKeys(SHIPMENT.keys, Mode.ACCEPT).check_turn(self.LINK, {WORDS: words})
        with pytest.raises(Forged):
            SHIPMENT.check_turn(self.LINK, {WORDS: words})

    def test_each_of_several_must_open(self) -> None:
        """The service of the last step before it may lie about that step, and not about the others."""
        about = ("inventory", "0193", "commit-stock", "do")
        link = {"mac": "", "after": {**self.LINK["after"], "commit-stock": self.INVENTORY.make_locks(*about)}}
        words = {WORDS: self.INVENTORY.sign_outcome(*about, "done", {})}
        with pytest.raises(Forged, match="capture-payment"):
            SHIPMENT.check_turn(link, words)
        words[WORDS] |= self.words()[WORDS]
        SHIPMENT.check_turn(link, words)

    def test_the_first_link_has_none(self) -> None:
        SHIPMENT.check_turn(ORDER.sign_message("shipment", "x", {}), {})
