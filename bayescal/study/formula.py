"""Formulas of covariates: checked before they are used, so that nothing in them runs.

`formulaic` evaluates any Python in a formula ("~ {open('file').read()}"). A formula may come from a study's
dataset.toml or from a saved fit, so only columns, numbers, texts, arithmetic and known transforms are let through.
"""

import ast
import re

from bayescal.errors import InputError

TRANSFORMS = (
    "C", "I", "Q", "log", "log2", "log10", "exp", "exp2", "exp10", "center", "scale", "standardize", "poly", "bs",
    "cs", "cc", "cr", "lag", "Treatment", "Sum", "Helmert", "Diff", "Poly",
)  # fmt: skip
NUMPY = ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs", "square")  # as in np.log(age)
CONTRASTS = ("treatment", "SAS", "sum", "helmert", "diff", "poly")  # as in C(town, contr.sum)
_ALLOWED = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.BinOp, ast.UnaryOp, ast.UAdd, ast.USub, ast.Add, ast.Sub,
    ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE, ast.List, ast.Tuple, ast.keyword,
)  # fmt: skip
_COLOUR = re.compile(r"\x1b\[[0-9;]*m|[⧛⧚]")  # how formulaic marks the place in its messages
_QUOTED = re.compile(r"`([^`'\"]*)`")  # a column whose name is not a Python name


def formula_columns(formula: str) -> list[str]:
    """The columns that a formula of covariates names, sorted.

    Raises:
        InputError: it is no formula, or it has more in it than columns, arithmetic and known transforms.
    """
    from formulaic import Formula, SimpleFormula
    from formulaic.parser.types import Factor

    try:
        parsed = Formula.from_spec(formula)
        if not isinstance(parsed, SimpleFormula):
            raise ValueError("it has more than one part")
        code = [str(f.expr) for term in parsed for f in term.factors if f.eval_method is Factor.EvalMethod.PYTHON]
        trees = {text: ast.parse(_QUOTED.sub("quoted_name", text).strip(), mode="eval") for text in code}
    except Exception as error:  # noqa: BLE001 - formulaic raises errors of many kinds
        reason = " ".join(_COLOUR.sub("", str(error)).split())
        raise InputError(
            f"covariates under [model] is {formula!r}, which is no formula ({reason}): write for "
            'example "~ treatment + age".'
        ) from None
    for text, tree in trees.items():
        if not _is_safe(tree.body):
            raise InputError(
                f"covariates under [model] is {formula!r}, in which {text!r} is more than columns, arithmetic and "
                f"transforms ({', '.join(TRANSFORMS)}): a formula is data and does not run programs. Compute such a "
                "covariate as a column of the table."
            )
    return sorted(map(str, parsed.required_variables))  # this evaluates parts of the formula, so it comes last


def _is_safe(node: ast.AST) -> bool:
    """Whether an expression calls nothing but known transforms and looks into nothing."""
    if isinstance(node, ast.Call):
        called = isinstance(node.func, ast.Name) and node.func.id in TRANSFORMS
        return (called or _is_known_attribute(node.func)) and all(map(_is_safe, [*node.args, *node.keywords]))
    if isinstance(node, ast.Attribute):
        return _is_known_attribute(node)
    return isinstance(node, _ALLOWED) and all(map(_is_safe, ast.iter_child_nodes(node)))


def _is_known_attribute(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
        return False
    return node.attr in {"np": NUMPY, "contr": CONTRASTS}.get(node.value.id, ())
