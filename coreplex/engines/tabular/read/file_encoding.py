"""Finds the character encoding of a text file by reading the whole file once, before anything is parsed.

Text is UTF-8 unless a byte-order mark or the bytes themselves say otherwise. NUL bytes and control characters mean
that the file is no text: it is refused with the line, never half-read.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.dialect import EMPTY
from coreplex.errors.tree import BadInput, Invalid, Message

CHUNK = 4 << 20
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Everything below a space that a text file has no use for (tab, line feed, form feed and carriage return are fine).
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x1a\x1c\x1d\x1e\x1f\x01\x02")
_NO_CONTROLS = re.compile(b"[" + re.escape(_CONTROLS) + b"]")
_GUESS_BYTES = 256 << 10
_LEGACY = [
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "iso8859_2",
    "koi8_r",
    "shift_jis",
    "euc_jp",
    "euc_kr",
    "gb18030",
    "big5",
]


@dataclass(frozen=True)
class FileEncoding:
    """How bytes become characters: a codec of Python, after `skip` bytes of a byte-order mark."""

    name: str
    skip: int = 0
    errors: str = "strict"
    findings: tuple[Finding, ...] = ()

    def chunks(self, source: Path, size: int = CHUNK) -> Iterator[bytes]:
        """The file's text as UTF-8, in pieces of about `size` bytes, in bounded memory."""
        with source.open("rb") as file:
            file.seek(self.skip)
            if self.name == "utf-8" and self.errors == "strict":
                while piece := file.read(size):
                    yield piece
                return
            decoder = codecs.getincrementaldecoder(self.name)(self.errors)
            while piece := file.read(size):
                yield decoder.decode(piece).encode()
            yield decoder.decode(b"", final=True).encode()

    def tail(self, source: Path, size: int, line_end: str = "\n") -> tuple[str, bool]:
        """(the last lines of the text, at most `size` bytes of the file; True if that is all of it)."""
        start = max(self.skip, source.stat().st_size - size)
        start -= (start - self.skip) % _UNIT.get(self.name[:6], 1)
        with source.open("rb") as file:
            file.seek(start)
            text = file.read().decode(self.name, "replace")
        return (text, True) if start == self.skip else (text.partition(line_end)[2], False)


_UNIT = {"utf-16": 2, "utf-32": 4}
"""Bytes of a character, where each has more than one."""


def detect_encoding(source: Path) -> FileEncoding:
    """The encoding of a text file. Raises BadInput for files that are no text, Invalid for empty ones."""
    with source.open("rb") as file:
        head = file.read(1 << 16)
        more = head.removeprefix(codecs.BOM_UTF8)
        while more and not more.strip():
            more = file.read(CHUNK)
    if not more:
        raise Invalid(EMPTY)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return _utf8(source, len(mark)) if name == "utf-8" else _wide(source, name, len(mark))
    wide = _wide_without_mark(head)
    return _wide(source, wide, 0) if wide else _utf8(source, 0)


def decoded_head(head: bytes) -> str:
    """The first bytes of a file as letters, for a look at what it might be; nothing is refused."""
    name = next((name for mark, name in _BOMS if head.startswith(mark)), None) or _wide_without_mark(head) or "utf-8"
    return head.decode(name, "replace").lstrip("\ufeff")


def _wide_without_mark(head: bytes) -> str | None:
    """UTF-16 without a mark: every second byte of Latin text is NUL."""
    if len(head) < 8:
        return None
    even, odd = head[0::2].count(0) / (len(head) / 2), head[1::2].count(0) / (len(head) / 2)
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.05 else None


def _wide(source: Path, name: str, skip: int) -> FileEncoding:
    found = FileEncoding(name, skip)
    line = 1
    try:
        for piece in found.chunks(source):
            _refuse_controls(piece, line)
            line += piece.count(b"\n")
    except UnicodeDecodeError:
        raise BadInput(
            Message(
                "not_the_encoding_it_says",
                "The file says it is {encoding} but cannot be read so near line {line}.",
                encoding=name.upper(),
                line=line,
            )
        ) from None
    return found


def _refuse_controls(piece: bytes, line: int) -> None:
    position = piece.find(b"\0")
    if position >= 0:
        at = line + piece.count(b"\n", 0, position)
        raise BadInput(
            Message(
                "nul_byte",
                "Line {line} holds a NUL byte: the file is damaged or is not text. Export it again as CSV in UTF-8.",
                line=at,
            )
        )


def _utf8(source: Path, skip: int) -> FileEncoding:
    """UTF-8 if the bytes are; with one stray byte in a thousand letters still UTF-8, the cells named; else a guess."""
    line, good, bad, first_bad = 1, 0, 0, 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with source.open("rb") as file:
        file.seek(skip)
        while piece := file.read(CHUNK):
            _refuse_controls(piece, line)
            if not piece.isascii() or decoder.getstate()[0]:
                text = decoder.decode(piece)
                wrong = len(_SURROGATES.findall(text))
                if wrong and not first_bad:
                    first_bad = line + text.count("\n", 0, _SURROGATES.search(text).start())  # type: ignore[union-attr]
                bad += wrong
                good += _letters(text) - wrong
            line += piece.count(b"\n")
    bad += len(decoder.decode(b"", final=True))
    _refuse_noise(source)
    if not bad:
        return FileEncoding("utf-8", skip)
    if good > 20 * bad:
        finding = Finding(
            "encoding_errors",
            "medium",
            f"{bad} bytes are not valid UTF-8 (first on line {first_bad}); they are shown as �.",
            evidence={"line": first_bad, "bytes": bad},
        )
        return FileEncoding("utf-8", skip, "replace", (finding,))
    return _guess(source, skip)


_SURROGATES = re.compile("[\udc80-\udcff]")
_NON_ASCII = re.compile("[^\x00-\x7f]")
_WESTERN_SIGN = re.compile(r"[€£](?=[\s\d])|(?<=[\s\d])[€£]|[°§–—’“”«»·]")
_INSIDE = re.compile("(?<=[a-z])[^\x00-\x7f]")
"""What follows a small letter; a capital there (`OrlŽans`) says that the encoding is another."""
_ACCENT_PAIR = re.compile("[^\x00-\x7f]{2}")


def _letters(text: str) -> int:
    return len(_NON_ASCII.findall(text))


def _refuse_noise(source: Path) -> None:
    """Control characters in number mean a binary file that happens to hold no NUL."""
    with source.open("rb") as file:
        head = file.read(1 << 16)
    if len(_NO_CONTROLS.findall(head)) > max(2, len(head) // 500):
        raise BadInput(Message("not_text", "The file is not text. Upload the table as CSV (UTF-8), Parquet or Excel (.xlsx)."))


def _guess(source: Path, skip: int) -> FileEncoding:
    sample = _interesting_bytes(source, skip)
    latin = [name for name in _ALPHABETS if _looks_latin(sample, name)]
    names = [_by_letters(sample, latin), "latin-1"] if latin else [_by_statistics(sample), "cp1252", "latin-1"]
    name = next((name for name in names if _decodes(source, skip, name)), "latin-1")
    finding = Finding(
        "encoding_guessed",
        "low",
        (f"The file is not UTF-8; its letters were read as {name}. If names look wrong, save it as UTF-8 and upload again."),
        evidence={"encoding": name},
    )
    return FileEncoding(name, skip, "strict", (finding,))


_CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž", "áäčďéíĺľňóôŕšťúýž", "äöüß")
_ALPHABETS = {
    "cp1252": ("äöüß", "éèêëàâçîïôûùüœæ", "áéíóúüñ¿¡", "áâãàçéêíóôõú", "àèéìíòóù", "åäöæøé", "áðéíóúýþæö", "ëïéèöü"),
    "cp1250": _CENTRAL,
    "iso8859_2": _CENTRAL,
    "cp1254": ("çğıöşüâîûi̇",),
}
_ALPHABETS["mac_roman"] = _ALPHABETS["cp1252"]
"""Letters beyond ASCII by language, of the encodings that hold them."""
_SURELY = 0.05


def _by_letters(sample: bytes, names: list[str]) -> str:
    """The encoding in which the letters are most nearly those of one language; the first unless another is better for
    sure.
    """
    shares = {name: _of_one_language(sample.decode(name, "replace"), _ALPHABETS[name]) for name in names}
    best = max(names, key=lambda name: shares[name])
    return best if shares[best] > shares[names[0]] + _SURELY else names[0]


def _of_one_language(text: str, alphabets: tuple[str, ...]) -> float:
    """The share of letters beyond ASCII that the best alphabet has; several languages together count a little less."""
    text = _INSIDE.sub(lambda found: "\ufffd" if found[0].isupper() else found[0], _WESTERN_SIGN.sub("", text))
    letters = Counter(_NON_ASCII.findall(text.lower()))
    shares = [sum(letters[letter] for letter in set(alphabet)) for alphabet in alphabets]
    together = 0.9 * sum(letters[letter] for letter in set("".join(alphabets)))
    return max(*shares, together) / max(letters.total(), 1)


def _looks_latin(sample: bytes, name: str) -> bool:
    """Accented letters stand alone among plain ones; Cyrillic or Japanese read so come out as rows of accents."""
    text = sample.decode(name, "replace")
    accents = _NON_ASCII.findall(text)
    letters = sum(map(str.isalpha, accents)) + len(_WESTERN_SIGN.findall(text))
    return letters >= 0.9 * len(accents) and len(_ACCENT_PAIR.findall(text)) <= 0.35 * len(accents)


def _by_statistics(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_LEGACY).best()
    return codecs.lookup(best.encoding).name if best and best.encoding not in ("ascii", "utf_8") else "cp1252"


def _interesting_bytes(source: Path, skip: int) -> bytes:
    """Lines with letters beyond ASCII: they alone tell encodings apart."""
    kept: list[bytes] = []
    size = 0
    with source.open("rb") as file:
        file.seek(skip)
        for row in iter(lambda: file.readline(1 << 16), b""):
            if not row.isascii():
                kept.append(row)
                size += len(row)
            if size > _GUESS_BYTES:
                break
    return b"".join(kept)


def _decodes(source: Path, skip: int, name: str) -> bool:
    try:
        for _ in FileEncoding(name, skip).chunks(source):
            pass
    except UnicodeDecodeError:
        return False
    return True
