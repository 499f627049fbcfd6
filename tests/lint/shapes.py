"""What a clouds.h declares, read by pycparser after the preprocessor: records, functions, constants."""
import re

from preprocess import header
from pycparser import c_ast, c_generator, c_parser

STANDARD = "".join(f"typedef {meaning} {name};\n" for name, meaning in (
    ("size_t", "unsigned long"), ("uint32_t", "unsigned int"), ("int32_t", "int"), ("uint64_t", "unsigned long"),
    ("int64_t", "long")))


def written(kind):
    """A type as text, without the names of what it is given."""
    for node in (kind.args.params if isinstance(kind, c_ast.FuncDecl) and kind.args else ()):
        bare = node
        while hasattr(bare, "type") and not isinstance(bare, c_ast.TypeDecl):
            bare = bare.type
        if isinstance(bare, c_ast.TypeDecl):
            bare.declname = None
    return re.sub(r"\s+", " ", c_generator.CGenerator().visit(kind)).strip()


class Shapes:
    def __init__(self, path=None):
        self.records = {}    # name: [(member, type), ...]
        self.functions = {}  # name: type
        self.constants = {}  # name: value
        for node in c_parser.CParser().parse(STANDARD + header(path), "clouds.h").ext:
            kind = node.type
            if isinstance(node, c_ast.Typedef) and isinstance(getattr(kind, "type", None), c_ast.Struct):
                if kind.type.decls:
                    self.records[node.name] = [(one.name, self._member(one)) for one in kind.type.decls]
            elif isinstance(node, c_ast.Decl) and isinstance(kind, c_ast.FuncDecl):
                self.functions[node.name] = self._function(node.name, kind)
            elif isinstance(kind, c_ast.Enum):
                self._enum(kind)

    @staticmethod
    def _member(one):
        return re.sub(rf"\s*\b{one.name}$", "", written(one))

    @staticmethod
    def _function(name, kind):
        return re.sub(rf"\b{name}\b", "", written(kind))

    def _enum(self, kind):
        value = -1
        for item in kind.values.enumerators:
            value = value + 1 if item.value is None else int(eval(c_generator.CGenerator().visit(item.value)))
            self.constants[item.name] = value

