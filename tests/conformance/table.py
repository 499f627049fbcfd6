"""The table of what has to be done: read, with its short forms written out; and values as one canonical text.

The canonical text is what every driver can make of a value of its own language, without the JSON of the library under
test: arrays and objects as in JSON without spaces, the keys of objects sorted by their text; texts with everything but
printable ASCII, and with '"' and '\\', as \\uXXXX of its UTF-16 units; whole numbers up to 2^53 as digits (-0 is 0),
others as x and the 16 hex digits of the double; bytes, which the table has as {"$bin": hex}, as bytes(hex).
"""
import fnmatch
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
EXACT = 2 ** 53


def number(text):
    """A number as every language has it: a double where it is no exact integer for all of them."""
    value = int(text)
    return value if abs(value) < EXACT else float(value)


def load():
    with open(os.path.join(HERE, "table.json"), encoding="utf-8") as source:
        whole = expand(json.load(source, parse_int=number))
    with_bytes = rows_of_values(whole["bytes"], needs=["bytes"], server_needs=["bytes"])
    whole["rows"] = rows_of_values(whole["values"]) + with_bytes + whole["rows"]
    return whole


def rows_of_values(values, **more):
    """Each list comes back from echo, and has been seen by the server as describe tells."""
    rows = []
    for name, args in values.items():
        text = canonical(args)
        for method, wanted in (("echo", text), ("describe", canonical([text]))):
            rows.append({"name": f"{name} ({method})", "do": "call", "method": method, "args": args,
                         "expect": {"canonical": wanted}, **more})
    return rows


# ---- short forms ----

def nest(depth, wrap):
    value = wrap(None)
    for _ in range(depth - 1):
        value = wrap(value)
    return value


FORMS = {
    "$repeat": lambda of: of[0] * of[1],
    "$range": lambda count: list(range(count)),
    "$keys": lambda count: {f"k{i}": i for i in range(count)},
    "$nest": lambda depth: nest(depth, lambda v: [] if v is None else [v]),
    "$nest_objects": lambda depth: nest(depth, lambda v: {} if v is None else {"d": v}),
    "$hex": bytes.fromhex,
}


def expand(value):
    """The value with each {"$form": ...} replaced by what it stands for."""
    if isinstance(value, list):
        return [expand(element) for element in value]
    if isinstance(value, dict):
        if len(value) == 1:
            (key, what), = value.items()
            if key in FORMS:
                return FORMS[key](what)
        return {key: expand(element) for key, element in value.items()}
    return value


def fill(value, words):
    """The value with each text that is a key of `words`, as "$row", replaced."""
    if isinstance(value, list):
        return [fill(element, words) for element in value]
    if isinstance(value, str):
        return words.get(value, value)
    return value


# ---- canonical text ----

class Characters(dict):
    """Each as it is written, made when it is first looked for."""

    def __missing__(self, code):
        units = chr(code).encode("utf-16-be", "surrogatepass").hex()
        is_plain = 32 <= code < 127 and chr(code) not in '"\\\\'
        self[code] = chr(code) if is_plain else "".join("\\u" + units[i:i + 4] for i in range(0, len(units), 4))
        return self[code]


CHARACTERS = Characters()


def canonical_text(text):
    return '"' + text.translate(CHARACTERS) + '"'


def canonical_number(number):
    double = float(number)
    if abs(double) <= EXACT and double == int(double):
        return str(int(double))
    return "x" + struct.pack(">d", double).hex()


def canonical(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return canonical_text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, bytes):
        return f"bytes({value.hex()})"
    if isinstance(value, dict) and list(value) == ["$bin"]:
        return f"bytes({value['$bin']})"
    if isinstance(value, dict):
        members = sorted((canonical_text(key), canonical(of)) for key, of in value.items())
        return "{" + ",".join(f"{key}:{of}" for key, of in members) + "}"
    return canonical_number(value)


# ---- which rows are for whom ----

def matches(pattern, client, server):
    """Does "client->server", with "*" for any, name this pair?"""
    return fnmatch.fnmatchcase(f"{client}->{server}", pattern)


class Table:
    """The rows of one pair of kinds on one bus."""

    def __init__(self, whole, client, server, bus):
        self.client, self.server, self.bus = client, server, bus
        self.lacks = {kind: about["lacks"] for kind, about in whole["kinds"].items()}
        self.rows = [dict(row) for row in whole["rows"] + self._of_bad_will(whole)]
        for number, row in enumerate(self.rows):
            row["number"] = number
            for pattern, expect in row.get("expect_for", {}).items():
                if matches(pattern, client, server):
                    row["expect"] = expect

    def _of_bad_will(self, whole):
        """Strange answers concern the client alone and strange calls the server, so one pair of each runs them."""
        answers = [{"do": "answer", "method": "answer", "needs": ["survive"], "only": f"*->{FIRST}",
                    "options": {"timeout": 4 if "TIMEOUT" in json.dumps(row["expect"]) else 30}, **row}
                   for row in whole["answers"]]
        calls = [{"do": "wire", "server_needs": ["survive"], "only": f"{FIRST}->*", **row} for row in whole["calls"]]
        payloads = whole["raw"]["redis" if self.bus == "redis" else "local"]
        raw = [{"name": f"malformed input to the {side}", "do": "raw", "to": side, "payloads": payloads,
                "needs" if side == "client" else "server_needs": ["survive"], "last": True}
               for side in ("client", "server")]
        return (answers + calls if self.bus == "redis" else []) + raw

    def why_not(self, row):
        """Why this pair skips the row; None when it does not. "" when it is not for this pair at all."""
        if self.bus not in row.get("buses", (self.bus,)) or not matches(row.get("only", "*"), self.client, self.server):
            return ""
        for kind, needs in ((self.client, row.get("needs", ())), (self.server, row.get("server_needs", ()))):
            for need in needs:
                if need in self.lacks[kind]:
                    return self.lacks[kind][need]
        skip = row.get("skip", {})
        return next((why for pattern, why in skip.items() if matches(pattern, self.client, self.server)), None)

    def knows_outcomes(self):
        return "outcome" not in self.lacks[self.client]


FIRST = "c"
