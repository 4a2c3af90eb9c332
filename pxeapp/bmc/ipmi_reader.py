"""Long readings over one IPMI session: sensors, event log, identity. pyghmi decodes; we ask, and we bound.

A BMC answers one question at a time and has hundreds of records, so a reading is many questions in a row. All of them
together have a deadline, since what a worker's thread is held by must come back; and whatever is text is cleaned here,
for a BMC is a small computer that anybody may have been into.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import struct
import time
from typing import Any

from pyghmi.exceptions import IpmiException
from pyghmi.ipmi import events, fru, sdr
from pyghmi.ipmi.command import Command
from pyghmi.ipmi.oem import generic
from pyghmi.ipmi.private.util import get_ipmi_error

from pxeapp.bmc.readings import EventLog, Health, Identity, LogEntry, Reading
from pxeapp.bmc.rmcp import Answer, NoAnswer, RmcpSession

READING_S = 45.0  # all questions of one reading together
THRESHOLDS_S = 25.0  # after this long the thresholds of further sensors are left out: the values matter more
QUESTIONS_LIMIT = 12_000
SENSORS_LIMIT = 1_000
RECORDS_LIMIT = 4_096
TEXT_LIMIT = 100
SHARED_RECORDS = 64  # pyghmi keeps sensor records for each kind of BMC that it meets, and never forgets one

# IPMI 2.0: network functions and commands of sections 20, 31 and 35.
APPLICATION, SENSOR, STORAGE = 0x06, 0x04, 0x0A
GET_DEVICE_ID, GET_GUID = 0x01, 0x37
GET_THRESHOLDS = 0x27
FRU_INFO, READ_FRU = 0x10, 0x11
FRU_PIECE, FRU_LIMIT = 16, 2048
SEL_INFO, RESERVE_SEL, GET_SEL_ENTRY, CLEAR_SEL = 0x40, 0x42, 0x43, 0x47
LAST_RECORD = 0xFFFF
NOT_PRESENT, RESERVATION_LOST = 0xCB, 0xC5
CLEAR_START, CLEAR_STATUS = 0xAA, 0x00
CLEAR_LOOKS = 10
TIME_IS_SET = 0x2000_0000  # a lower stamp counts from the BMC's start (section 37); the highest means: unknown
THRESHOLDS = (
    "lower_warning", "lower_critical", "lower_failed", "upper_warning", "upper_critical", "upper_failed",
)  # fmt: skip


def cleaned(value: object, limit: int = TEXT_LIMIT) -> str:
    """Text of a BMC's as it may be kept and shown: printable, one line, not long."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value or "")
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()[:limit]


class Reader(Command):
    """pyghmi's decoders over a session of ours (its own constructor would make another session)."""

    def __init__(self, session: RmcpSession) -> None:
        # The generic handler: those for makers' own BMCs open web connections to them.
        handler: Any = generic.OEMHandler(None, None)  # type: ignore[no-untyped-call]
        vars(self).update(
            bmc=session.bmc, ipmi_session=session, onlogon=None, certverify=None, kwargs={}, _sdr=None,
            _sdrcachedir=None, _oem=handler, _oemknown=True, _netchannel=None, _ipv6support=None,
        )  # fmt: skip
        self._until = time.monotonic() + READING_S
        self._questions = 0

    def raw_command(self, netfn: int, command: int, data: Any = (), **_: Any) -> Answer:  # type: ignore[override]
        """One question, with pyghmi's own note of a refusal; raises NoAnswer when the time of all is over."""
        self._questions += 1
        if time.monotonic() > self._until or self._questions > QUESTIONS_LIMIT:
            raise NoAnswer
        session: Any = self.ipmi_session
        answer = session.ask(netfn, command, tuple(data))
        refusal = get_ipmi_error(answer)  # type: ignore[no-untyped-call]
        return {**answer, "error": refusal} if refusal else dict(answer)

    def xraw_command(self, netfn: int, command: int, data: Any = (), **_: Any) -> Answer:  # type: ignore[override]
        """One question; a refusal is raised, as its callers expect."""
        answer = self.raw_command(netfn, command, data)
        if "error" in answer:
            raise IpmiException(answer["error"], answer["code"])  # type: ignore[no-untyped-call]
        return {**answer, "data": memoryview(answer["data"])}

    def unless(self, code: int, netfn: int, command: int, data: Any) -> Any:
        """One question; None where the BMC answers this code, which says something here. Other refusals are raised."""
        answer = self.raw_command(netfn, command, data)
        if answer.get("code") == code:
            return None
        if "error" in answer:
            raise IpmiException(answer["error"], code=answer["code"])  # type: ignore[no-untyped-call]
        return answer

    @property
    def spent_s(self) -> float:
        """For how long it has been asking."""
        return READING_S - (self._until - time.monotonic())

    def records(self) -> Any:
        """The sensor records; raises IpmiException where the BMC has none."""
        if len(sdr.shared_sdrs) > SHARED_RECORDS:
            sdr.shared_sdrs.clear()
        return self.init_sdr()  # type: ignore[no-untyped-call]


# --- sensors ----------------------------------------------------------------------------------------------------------


def sensors(reader: Reader) -> list[Reading]:
    """Every sensor with its state now."""
    records = reader.records()
    found = []
    for key in list(records.get_sensor_numbers())[:SENSORS_LIMIT]:
        record = records.sensors[key]
        answer = reader.unless(NOT_PRESENT, SENSOR, 0x2D, (record.sensor_number,))
        if answer is None:
            continue
        seen = record.decode_sensor_reading(reader, answer["data"])
        limits = _thresholds(reader, record) if record.has_thresholds and reader.spent_s < THRESHOLDS_S else {}
        found.append(reading(seen, limits))
    return found


def reading(seen: Any, limits: dict[str, float]) -> Reading:
    """pyghmi's reading as ours."""
    health: Health = "unavailable" if seen.unavailable else health_of(int(seen.health or 0))
    return Reading(
        name=cleaned(seen.name),
        value=None if seen.value is None else round(float(seen.value), 3),
        unit=cleaned(seen.units, 20),
        healthy=not seen.health,
        kind=cleaned(seen.type, 40),
        health=health,
        states=tuple(cleaned(state) for state in seen.states[:16]),
        thresholds=limits,
    )


def health_of(bits: int) -> Health:
    """pyghmi's health is a set of bits; the worst of them counts."""
    return "failed" if bits & 4 else "critical" if bits & 2 else "warning" if bits & 1 else "ok"


def _thresholds(reader: Reader, record: Any) -> dict[str, float]:
    answer = reader.raw_command(SENSOR, GET_THRESHOLDS, (record.sensor_number,))
    data = bytes(answer.get("data", b""))
    if "error" in answer or len(data) < 7:
        return {}
    values = {}
    for bit, name in enumerate(THRESHOLDS):
        if data[0] & 1 << bit:
            signed = record.numeric_format == 2
            number = struct.unpack("b", data[bit + 1 : bit + 2])[0] if signed else data[bit + 1]
            with contextlib.suppress(ArithmeticError, ValueError):
                values[name] = round(float(record.decode_value(reader, number)), 3)
    return values


# --- the event log ----------------------------------------------------------------------------------------------------


def event_log(reader: Reader) -> EventLog:
    """Read all of it."""
    info = bytes(reader.xraw_command(STORAGE, SEL_INFO)["data"])
    left, overflowed = struct.unpack_from("<H", info, 3)[0], bool(len(info) > 13 and info[13] & 0x80)
    decoder = Decoder(reader)
    entries: list[LogEntry] = []
    number = 0
    while number != LAST_RECORD and len(entries) < RECORDS_LIMIT:
        answer = reader.unless(NOT_PRESENT, STORAGE, GET_SEL_ENTRY, struct.pack("<HHBB", 0, number, 0, 0xFF))
        if answer is None:
            break  # it is empty, or was emptied meanwhile
        data = bytes(answer["data"])
        following = struct.unpack_from("<H", data)[0]
        if len(data) != 18 or following == number:
            raise IpmiException("a record that is none")  # type: ignore[no-untyped-call]
        entries.append(decoder.entry(data[2:]))
        number = following
    return EventLog(tuple(entries), None if left == 0xFFFF else left, overflowed)


def clear_event_log(reader: Reader, read: EventLog) -> bool:
    """Empty it under a reservation, which the BMC itself ends when an event comes in between (section 31.4)."""
    reserved = bytes(reader.xraw_command(STORAGE, RESERVE_SEL)["data"])[:2]
    info = bytes(reader.xraw_command(STORAGE, SEL_INFO)["data"])
    if struct.unpack_from("<H", info, 1)[0] != len(read.entries):
        return False
    step = CLEAR_START
    for _ in range(CLEAR_LOOKS):
        answer = reader.unless(RESERVATION_LOST, STORAGE, CLEAR_SEL, (*reserved, *b"CLR", step))
        if answer is None:
            return False
        if answer["data"] and answer["data"][0] & 0x0F == 1:
            return True
        step = CLEAR_STATUS
        time.sleep(0.5)
    return False


class _NoRecords:
    """Stands in where a BMC lists no sensors: events then name a sensor by its number."""

    sensors: dict[str, Any] = {}  # noqa: RUF012 - read only, by pyghmi


class Decoder:
    """From a record's 16 bytes to what it means."""

    def __init__(self, reader: Reader) -> None:
        records: Any = _NoRecords()
        with contextlib.suppress(IpmiException, NotImplementedError):
            records = reader.records()
        self._events: Any = events.EventHandler(records, reader)  # type: ignore[no-untyped-call]

    def entry(self, raw: bytes) -> LogEntry:
        """One record. What nobody can read is kept as it is."""
        try:
            said: dict[str, Any] = self._events._sel_decode(raw)
        except Exception:  # noqa: BLE001 - pyghmi decodes without checking
            said = {}
        stamp = struct.unpack_from("<I", raw, 3)[0] if raw[2] < 0xE0 else 0xFFFF_FFFF
        known = TIME_IS_SET <= stamp < 0xFFFF_FFFF
        more = cleaned(said.get("event_data"), 80)
        event = cleaned(said.get("event"), 160) or f"record of type {raw[2]:#04x}: {raw[7:].hex()}"
        sensor = cleaned(said.get("component"))
        kind = cleaned(said.get("component_type"))
        return LogEntry(
            raw=raw,
            record=struct.unpack_from("<H", raw)[0],
            at=dt.datetime.fromtimestamp(stamp, dt.UTC) if known else None,
            sensor=(f"{sensor} ({kind})" if sensor and kind and kind not in sensor else sensor or kind)[:TEXT_LIMIT],
            event=(f"{event} ({more})" if more else event)[:200],
            severity=health_of(int(said.get("severity") or 0)),
            asserted=not said.get("deassertion", False),
        )


# --- who it is --------------------------------------------------------------------------------------------------------


def identity(reader: Reader) -> Identity:
    """Its firmware, and of the machine what the FRU says (Platform Management FRU, 1.0)."""
    data = bytes(reader.xraw_command(APPLICATION, GET_DEVICE_ID)["data"])
    if len(data) < 5:
        raise IpmiException("a device id that is none")  # type: ignore[no-untyped-call]
    guid = bytes(reader.raw_command(APPLICATION, GET_GUID).get("data", b""))
    board: dict[str, Any] = {}
    with contextlib.suppress(IpmiException, IndexError, KeyError, struct.error, ValueError, TypeError):
        board = fru.FRU(rawdata=_fru(reader)).info or {}  # type: ignore[no-untyped-call]
    return Identity(
        firmware=f"{data[2] & 0x7F}.{data[3]:02x}",
        ipmi=f"{data[4] & 0x0F}.{data[4] >> 4}",
        manufacturer=cleaned(board.get("Manufacturer") or board.get("Board manufacturer")),
        product=cleaned(board.get("Product name") or board.get("Board product name")),
        serial=cleaned(board.get("Serial Number") or board.get("Board serial number")),
        guid=guid[:16].hex(),
    )


def _fru(reader: Reader) -> bytearray:
    """The machine's FRU; in small pieces, for many BMCs refuse pyghmi's large ones for good."""
    info = bytes(reader.xraw_command(STORAGE, FRU_INFO, (0,))["data"])
    size = min(struct.unpack_from("<H", info)[0], FRU_LIMIT)
    data = bytearray()
    while len(data) < size:
        asked = struct.pack("<BHB", 0, len(data), min(FRU_PIECE, size - len(data)))
        piece = bytes(reader.xraw_command(STORAGE, READ_FRU, asked)["data"])[1:]
        if not piece:
            break
        data += piece
    return data
