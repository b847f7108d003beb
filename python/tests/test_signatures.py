"""What the package tells ctypes is what the header says: names, argument counts, types, results."""

import ctypes
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from sockeye import _library, _socket

HEADER = Path(__file__).resolve().parents[2] / "include/sockeye.h"

# C's types, const and names taken away, as ctypes has them.
TYPES = {
    "void": None,
    "int": ctypes.c_int,
    "size_t": ctypes.c_size_t,
    "ssize_t": ctypes.c_ssize_t,
    "socklen_t": ctypes.c_uint32,
    "nfds_t": ctypes.c_ulong,
    "unsigned long": ctypes.c_ulong,
    "char *": ctypes.c_char_p,
    "void *": ctypes.c_void_p,
    "struct sockeye_stack *": ctypes.c_void_p,
    "struct sockaddr *": ctypes.c_void_p,
    "socklen_t *": ctypes.POINTER(ctypes.c_uint32),
    "struct pollfd *": ctypes.POINTER(_library.pollfd),
    "struct msghdr *": ctypes.POINTER(_library.msghdr),
    "struct epoll_event *": ctypes.POINTER(_library.epoll_event),
}


def ctype(text):
    """The ctypes type of a C type, None if the package has no use for it."""
    return TYPES.get(re.sub(r"\bconst\b", "", " ".join(text.split())).strip(), LookupError)


def declarations():
    """name: (result, arguments, variadic) of every function the header declares."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    found = {}
    for result, name, arguments in re.findall(r"^([\w ]+?[ *]+)(sockeye_\w+)\(([^)]*)\);", text, flags=re.M):
        parts = [part.strip() for part in arguments.split(",")]
        parts = [] if parts == ["void"] else parts
        variadic = parts[-1:] == ["..."]
        # "const struct sockaddr *addr": the type is all but the name.
        types = tuple(ctype(re.sub(r"\w+$", "", part)) for part in (parts[:-1] if variadic else parts))
        found[name] = (ctype(result), types, variadic)
    return found


class Signatures(unittest.TestCase):
    def test_the_parser_sees_the_header(self):
        self.assertGreater(len(declarations()), 38)

    def test_every_signature_is_the_headers(self):
        declared = declarations()
        for name, signature in _library.SIGNATURES.items():
            with self.subTest(name):
                self.assertIn(name, declared)
                self.assertEqual(signature, declared[name])

    def test_every_function_called_has_a_signature(self):
        package = Path(_library.__file__).parent
        called = set()
        for source in package.glob("*.py"):
            called |= set(re.findall(r"lib\.(sockeye_\w+)", source.read_text()))
        self.assertEqual(called, set(_library.SIGNATURES))

    def test_the_options_of_our_own_have_the_headers_numbers(self):
        for name in "SOL_SOCKEYE", "SOCKEYE_POLLABLE":
            self.assertRegex(HEADER.read_text(), rf"(?m)^#define {name} {getattr(_socket, name)}$")

    def test_the_loaded_functions_have_them(self):
        for name, (result, arguments, _) in _library.SIGNATURES.items():
            function = getattr(_library.lib, name)
            self.assertEqual((function.restype, tuple(function.argtypes)), (result, arguments), name)

    def test_the_structures_are_laid_out_as_the_systems(self):
        structures = _library.pollfd, _library.iovec, _library.msghdr, _library.epoll_event
        lines, expected = [], []
        for structure in structures:
            name = structure.__name__
            lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
            expected.append(f"{name} {ctypes.sizeof(structure)}")
            for field, _ in structure._fields_:
                lines.append(f'printf("{name}.{field} %zu\\n", offsetof(struct {name}, {field}));')
                expected.append(f"{name}.{field} {getattr(structure, field).offset}")
        body = "\n".join(lines)
        program = f"#include <stddef.h>\n#include <stdio.h>\n#include <sockeye.h>\nint main(void) {{ {body} return 0; }}"
        with tempfile.TemporaryDirectory() as folder:
            source, binary = Path(folder, "layout.c"), Path(folder, "layout")
            source.write_text(program)
            subprocess.run(["cc", "-I", HEADER.parent, "-o", binary, source], check=True)
            said = subprocess.run([binary], check=True, capture_output=True, text=True).stdout
        self.assertEqual(said.split("\n")[:-1], expected)


if __name__ == "__main__":
    unittest.main()
