"""Files out of a multipart body: in memory, below the body limit, with names that are safe to show."""

import re
import sys
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from portfolio_shared.serving.problems import FieldError, ProblemError, echo, unprocessable

FILES = "files"
MAX_NAME = 100  # characters of a file name that are shown

_MOST_FILES = 1000  # above it the body is refused unread; below it the limit is a setting, and answered with a 422
_MOST_FIELDS = 20
_LONGEST_FIELD = 1000  # bytes
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*([\w-]*)'[^']*'([^;\s]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Upload:
    """A file of a request; the name is clean."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Form:
    """What a multipart body holds."""

    files: list[Upload]
    fields: dict[str, str]


class InMemoryParser(MultiPartParser):
    """Starlette's parser, which otherwise writes files above 1 MB to a disk that may be full or read-only.

    A part is a file as well if its name is in `filename*` (RFC 8187), or if it is one of `files` without a name and its
    type is not text: clients send both. Long text in place of a file is dropped while it arrives: `read_form` refuses.
    """

    spool_max_size = sys.maxsize  # the middleware has its limit for the whole body

    def on_headers_finished(self) -> None:
        """Let Starlette see a file where there is one, and give it the name that the client meant."""
        part = self._current_part
        name = extended_name(part.content_disposition or b"")
        kind = dict(part.item_headers).get(b"content-type", b"text/plain").strip().lower()
        options = parse_options_header(part.content_disposition)[1]
        is_file = name is not None or (options.get(b"name") == FILES.encode() and not kind.startswith(b"text/"))
        if part.content_disposition and is_file and b"filename" not in options:
            part.content_disposition += b'; filename=""'
        super().on_headers_finished()
        if part.file is not None and name is not None:
            part.file.filename = name

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Keep the data of files and of short text."""
        part = self._current_part
        if part.file is None and len(part.data) + end - start > _LONGEST_FIELD:
            if part.field_name == FILES:
                return
            detail = f"{clean_name(part.field_name)}: text of more than {_LONGEST_FIELD} bytes"
            raise MultiPartException(detail)
        super().on_part_data(data, start, end)


async def read_form(request: Request, *, max_files: int) -> Form:
    """Read a multipart body with 1 to `max_files` files in parts named `files`, and text in other parts.

    What a client says of the type of a file does not count: its bytes do.

    Raises
    ------
    ProblemError
        415 if the body is not multipart, 400 if it breaks the rules of multipart, 422 if a part is not what it should
        be. Raised when the body is read to its end: most clients read no answer before they have sent everything.
    """
    declared = request.headers.get("content-type", "no content type")
    if declared.partition(";")[0].strip().lower() != "multipart/form-data":
        detail = f"The body is {echo(declared)}. Send multipart/form-data with each picture in a part named {FILES}."
        raise ProblemError(415, detail)
    parser = InMemoryParser(
        request.headers,
        request.stream(),
        max_files=_MOST_FILES,
        max_fields=_MOST_FIELDS,
        max_part_size=_LONGEST_FIELD,
    )
    try:
        parts = await parser.parse()
    except MultiPartException as error:
        raise ProblemError(400, f"The body is not valid multipart: {error.message}") from error
    except UnicodeError as error:  # of an encoding that Python has, and that decodes nothing
        raise ProblemError(400, f"The body has the encoding of {echo(declared)}: send UTF-8.") from error
    try:
        return await _sort(parts, max_files)
    finally:
        await parts.close()


async def _sort(parts: FormData, max_files: int) -> Form:
    """Divide files from text, and refuse what is neither."""
    files: list[Upload] = []
    fields: dict[str, str] = {}
    errors: list[FieldError] = []
    for name, part in parts.multi_items():
        shown = clean_name(name)
        if isinstance(part, UploadFile):
            if name == FILES:
                files.append(Upload(clean_name(part.filename or ""), await part.read()))
            else:
                errors.append(FieldError(field=shown, message=f"Expected files in parts named {FILES} only"))
        elif name == FILES:
            message = "expected a file, got text: a file comes with its name, as curl -F files=@rose.jpg sends it"
            errors.append(FieldError(field=FILES, message=message, value=part))
        elif name in fields:
            errors.append(FieldError(field=shown, message="Expected once only", value=part))
        else:
            fields[name] = part
    if not errors and not files:
        errors.append(FieldError(field=FILES, message="Expected at least one picture", bound={"min_length": 1}))
    if len(files) > max_files:
        bound = {"max_length": max_files, "actual_length": len(files)}
        message = f"Expected at most {max_files} files, not {len(files)}"
        errors.append(FieldError(field=FILES, message=message, bound=bound))
    if errors:
        raise unprocessable(errors)
    return Form(files, fields)


def clean_name(name: str) -> str:
    r"""Make a file name safe to show: no control or invisible characters, no line breaks, no end of length.

    >>> clean_name("rose\r\n\x1b[2J.jpg"), clean_name("x" * 1000 + ".jpg")[-10:]
    ('rose???[2J.jpg', '...xxx.jpg')
    """
    seen = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 10]}...{name[-7:]}"
    hidden = {character for character in seen if unicodedata.category(character)[:1] == "C"} | {"\u2028", "\u2029"}
    return "".join("?" if character in hidden else character for character in seen)


def extended_name(disposition: bytes) -> str | None:
    r"""Return the file name that `filename*` of a Content-Disposition holds (RFC 8187), or None.

    >>> extended_name(b"form-data; name=files; filename=rose.jpg; filename*=UTF-8''G%C3%A4nse.jpg")
    'Gänse.jpg'
    """
    if (match := _EXTENDED.search(_QUOTED.sub(b'""', disposition))) is None:
        return None
    charset = "latin-1" if match[1].lower() == b"iso-8859-1" else "utf-8"  # the two that a client may send
    return unquote(match[2].decode("latin-1"), charset)
