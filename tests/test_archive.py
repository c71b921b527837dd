"""Zips of strangers: what is read of them, and what is refused, in a sentence each."""

import io
import stat
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cyclegan import archive
from cyclegan.archive import Allowance, Archive, ArchiveError, safe_name

MEGABYTE = 1_000_000


def packed(path: Path, *files: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zip:
        for name, content in files:
            zip.writestr(name, content)
    return path


def look(
    path: Path, most: int = 10 * MEGABYTE, total: int = 50 * MEGABYTE
) -> list[tuple[str, bytes | str]]:
    """Names with what is in them, or with why that cannot be had."""
    found: list[tuple[str, bytes | str]] = []
    with Archive(path, path.name, most, Allowance(total, "That is too much.")) as opened:
        for entry in opened.entries:
            try:
                found.append((entry.name, opened.read(entry).read()))
            except ArchiveError as error:
                found.append((entry.name, str(error)))
    return found


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def patch(path: Path, *changes: tuple[bytes, bytes]) -> Path:
    """Replace bytes wherever they are, in both of the places where a zip says things."""
    content = path.read_bytes()
    for before, after in changes:
        assert content.count(before) == 2 and len(before) == len(after)
        content = content.replace(before, after)
    path.write_bytes(content)
    return path


def test_photos_come_out_as_they_went_in_folders_included(tmp_path: Path) -> None:
    files = (("a.jpg", b"one"), ("trip/day 1/b.PNG", b"two" * 99_999), ("trip/", b""))
    assert look(packed(tmp_path / "x.zip", *files)) == list(files[:2])


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("/etc/passwd.png", "etc/passwd.png"),
        ("../../home/x.png", "home/x.png"),
        ("a/../../b/x.png", "a/b/x.png"),
        ("C:\\Users\\me\\x.png", "Users/me/x.png"),
        ("c:x.png", "x.png"),
        ("\\\\server\\share\\x.png", "server/share/x.png"),
        ("..\\..\\x.png", "x.png"),
        ("./a//b/./x.png", "a/b/x.png"),
        ("a/... /x.png", "a/x.png"),
        ("what?/<x>|*.png", "what_/_x___.png"),
        ("line\nbreak\x1b[31m.png", "line_break_[31m.png"),
        ("photo\u202egnp.exe.png", "photo_gnp.exe.png"),
        ("nul.png", "_nul.png"),
        ("苹果/照片 1.png", "苹果/照片 1.png"),
        ("d/" * 40 + "x.png", "d/" * archive.DEPTH + "x.png"),
        ("x" * 300 + ".jpeg", "x" * 70 + ".jpeg"),
        ("..", "picture"),
        ("", "picture"),
    ],
)
def test_names_cannot_lead_anywhere(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert safe_name(safe) == safe


def test_a_zip_with_wandering_names_gives_harmless_ones(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", ("../../out.png", b"1"), ("/abs.png", b"2"))
    assert look(path) == [("out.png", b"1"), ("abs.png", b"2")]
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices_are_not_followed(tmp_path: Path, mode: int) -> None:
    path = packed(tmp_path / "x.zip", (entry("x.png", mode | 0o777), b"/etc/passwd"))
    assert look(path) == [("x.png", "x.png is a link or a device, not a file.")]


def test_what_systems_add_is_passed_over_and_what_is_no_picture_is_named(tmp_path: Path) -> None:
    quiet = ("__MACOSX/._a.jpg", "a/.DS_Store", "a/._b.jpg", "Thumbs.db", "desktop.ini")
    path = packed(
        tmp_path / "x.zip",
        *((name, b"x") for name in quiet),
        ("notes.txt", b"x"),
        ("more.zip", packed(tmp_path / "inner.zip", ("a.png", b"1")).read_bytes()),
    )
    assert look(path) == [
        ("notes.txt", "notes.txt is no picture."),
        ("more.zip", "more.zip is a zip inside a zip; send it by itself."),
    ]


def test_encrypted_entries_are_said_to_be(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", ("a.png", b"1" * 50), ("b.png", b"2"))
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    assert look(path) == [
        ("a.png", "a.png is encrypted; pack it without a password."),
        ("b.png", b"2"),
    ]


def test_a_wrong_checksum_is_noticed_and_the_others_are_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", ("a.png", b"first"), ("b.png", b"second"))
    right = struct.pack("<L", zlib.crc32(b"first"))
    patch(path, (right, b"\1\2\3\4"))
    assert look(path) == [
        ("a.png", "a.png is damaged in the zip; pack it again."),
        ("b.png", b"second"),
    ]


def test_equal_names_are_all_read(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = packed(tmp_path / "x.zip", ("a.png", b"first"), ("a.png", b"second"))
    assert look(path) == [("a.png", b"first"), ("a.png", b"second")]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("苹果.png".encode("gbk"), "苹果.png"),
        ("镕基/苹果.png".encode("gbk"), "镕基/苹果.png"),
        ("苹果.png".encode(), "苹果.png"),
        ("Äpfel und Öl.png".encode("cp437"), "Äpfel und Öl.png"),
        ("straße.png".encode("cp437"), "straße.png"),
        ("réélu.png".encode("cp437"), "réélu.png"),
    ],
)
def test_names_are_read_in_the_encoding_that_they_were_written_in(
    tmp_path: Path, raw: bytes, name: str
) -> None:
    placeholder = b"x" * len(raw)
    path = packed(tmp_path / "x.zip", (placeholder.decode(), b"1"))
    assert look(rename(path, placeholder, raw)) == [(name, b"1")]


def rename(path: Path, before: bytes, after: bytes) -> Path:
    path.write_bytes(path.read_bytes().replace(before, after))
    return path


def test_the_flag_for_utf8_is_believed_and_a_false_one_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", ("照片.png", b"1"))
    assert look(path) == [("照片.png", b"1")]
    rename(path, "照片".encode(), b"\xff\xfe\xfd\xfc\xfb\xfa")
    with pytest.raises(ArchiveError, match=r"x\.zip is no zip, or a damaged one"):
        look(path)


def test_a_bomb_is_left_as_soon_as_it_is_too_large(tmp_path: Path) -> None:
    zeros = bytes(40 * MEGABYTE)
    path = packed(tmp_path / "x.zip", ("bomb.png", zeros), ("a.png", b"1"))
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    found = look(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [
        ("bomb.png", "bomb.png has more than 10 MB; make it smaller first."),
        ("a.png", b"1"),
    ]
    assert peak < 25 * MEGABYTE


def test_a_false_size_in_the_header_changes_nothing(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", ("bomb.png", bytes(40 * MEGABYTE)))
    patch(path, (struct.pack("<L", 40 * MEGABYTE), struct.pack("<L", 9)))
    assert look(path) == [("bomb.png", "bomb.png is damaged in the zip; pack it again.")]
    # The other way round: much is promised, even in the 64-bit fields, and little comes.
    small = packed(tmp_path / "y.zip", ("a.png", b"x" * 9))
    patch(small, (struct.pack("<L", 9), struct.pack("<L", 2**32 - 2)))
    assert look(small) == [("a.png", b"x" * 9)]


def test_false_64_bit_sizes_are_no_way_around(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as zip, zip.open("a.png", "w", force_zip64=True) as file:
        file.write(b"x" * 9)
    path = tmp_path / "x.zip"
    path.write_bytes(content.getvalue().replace(struct.pack("<Q", 9), struct.pack("<Q", 2**60)))
    assert look(path) == [("a.png", b"x" * 9)]


def overlapping(path: Path, count: int) -> Path:
    """Many entries that are all the same bytes, as in Fifield's bombs; each looks innocent."""
    packed(path, ("000.png", bytes(5 * MEGABYTE)))
    content = path.read_bytes()
    start = content.index(b"PK\1\2")
    end = content.index(b"PK\5\6")
    record = content[start:end]
    table = b"".join(record.replace(b"000.png", f"{i:03}.png".encode()) for i in range(count))
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(table), start, 0)
    path.write_bytes(content[:start] + table + tail)
    return path


def test_overlapping_entries_are_counted_as_often_as_they_are_read(tmp_path: Path) -> None:
    found = look(overlapping(tmp_path / "x.zip", 100), total=10**12)
    assert len(found) == 100
    # Some Pythons notice the overlap themselves.
    sizes = [len(content) for _, content in found if isinstance(content, bytes)]
    assert set(sizes) == {5 * MEGABYTE}
    assert sum(sizes) <= 105 * MEGABYTE


def test_everything_together_is_bounded(tmp_path: Path) -> None:
    random = bytes(range(256)) * 400
    path = packed(tmp_path / "x.zip", *((f"{i}.png", random) for i in range(5)))
    found = look(path, total=3 * len(random) + 5)
    assert [content == random for _, content in found] == [True, True, True, False, False]
    assert [content for _, content in found[3:]] == ["That is too much."] * 2


def test_a_table_of_contents_without_end_is_not_read(tmp_path: Path) -> None:
    path = overlapping(tmp_path / "x.zip", 1)
    content = path.read_bytes()
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    count = 30_000
    table = content[start:end] * count
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(table), start, 0)
    path.write_bytes(content[:start] + table + tail)
    with pytest.raises(ArchiveError, match=r"^x\.zip lists too many files; send a smaller zip\.$"):
        look(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_end_are_not_used(tmp_path: Path, method: int) -> None:
    info = entry("a.png")
    info.compress_type = method
    path = packed(tmp_path / "x.zip")
    with zipfile.ZipFile(path, "w", method) as zip:
        zip.writestr(info, b"1")
    assert look(path) == [("a.png", "a.png is packed in an unusual way; make an ordinary zip.")]


def words(path: Path) -> None:
    path.write_bytes(b"PK these are words")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    packed(path, ("a.png", bytes(9999)))
    path.write_bytes(path.read_bytes()[:-40])


def forged(path: Path) -> None:
    packed(path, ("a.png", b"1"))
    content = bytearray(path.read_bytes())
    # The table of contents is said to begin before the file does.
    content[-10:-6] = struct.pack("<L", 2**31)
    path.write_bytes(content)


@pytest.mark.parametrize("make", [words, empty, cut, forged])
def test_what_is_no_zip_is_one_sentence(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x.zip")
    with pytest.raises(
        ArchiveError, match=r"^x\.zip is no zip, or a damaged one; pack it again\.$"
    ):
        look(tmp_path / "x.zip")
