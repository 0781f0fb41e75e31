"""Expressions of the subset, compiled once from the syntax tree into plain functions of a scope."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tree_sitter import Node

from lab.posh_arithmetic import ARITHMETIC, format_text, join_text, number_range, replace_text, split_text
from lab.posh_compare import cast, comparison, truthy, type_test
from lab.posh_members import STATIC_METHODS, call_method, get_index, get_member
from lab.posh_scope import CONSTANTS, Scope, variable_name
from lab.posh_strings import expandable_parts, here, verbatim
from lab.posh_syntax import down, refuse, text_of
from lab.posh_values import Hashtable, ScriptBlock, Value, as_list, collapse, to_text

Expr = Callable[[Scope], Value]
Body = Callable[[Scope], Iterator[Value]]
_IGNORED = frozenset({"comment", "empty_statement"})
_SIZES = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}


def parts(node: Node) -> list[Node]:
    """Give the children that matter: named ones without comments."""
    return [child for child in node.named_children if child.type not in _IGNORED]


class ExpressionCompiler:
    """Turns expression nodes into functions; blocks of statements are left to the subclass."""

    def block(self, node: Node) -> Body:
        """Compile the statements inside a node."""
        raise NotImplementedError

    def pipeline_value(self, node: Node) -> Expr:
        """Compile a pipeline whose collected output is the value."""
        raise NotImplementedError

    def expression(self, node: Node) -> Expr:
        """Compile an expression node."""
        node = down(node)
        method = getattr(self, f"_{node.type}", None)
        if method is None:
            raise refuse(_SPOKEN.get(node.type, node.type.replace("_", " ")), node)
        compiled: Expr = method(node)
        return compiled

    def _variable(self, node: Node) -> Expr:
        name = variable_name(text_of(node))
        if name in CONSTANTS:
            return constant(CONSTANTS[name])
        return lambda scope: scope.get(name)

    def _integer_literal(self, node: Node) -> Expr:
        text = text_of(node).lower().removesuffix("l")
        size = _SIZES.get(text[-2:], 1) if not text.startswith("0x") else 1
        return constant(int(text[:-2] if size > 1 else text, 0 if text.startswith("0x") else 10) * size)

    def _decimal_integer_literal(self, node: Node) -> Expr:
        return self._integer_literal(node)

    def _real_literal(self, node: Node) -> Expr:
        return constant(float(text_of(node).lower().rstrip("d")))

    def _verbatim_string_characters(self, node: Node) -> Expr:
        return constant(verbatim(text_of(node)))

    def _verbatim_here_string_characters(self, node: Node) -> Expr:
        return constant(here(text_of(node)))

    def _expandable_string_literal(self, node: Node) -> Expr:
        return self._expandable(node, is_here=False)

    def _expandable_here_string_literal(self, node: Node) -> Expr:
        return self._expandable(node, is_here=True)

    def _expandable(self, node: Node, *, is_here: bool) -> Expr:
        pieces = [
            constant(piece) if isinstance(piece, str) else self.expression(piece)
            for piece in expandable_parts(node, is_here=is_here)
        ]
        if len(pieces) == 1:
            return pieces[0]
        return lambda scope: "".join(to_text(piece(scope)) for piece in pieces)

    def _member_access(self, node: Node) -> Expr:
        target, name = parts(node)[:2]
        if target.type == "type_literal":
            return self._static(node, target, name, [])
        value, member = self.expression(target), self.member(name)
        return lambda scope: get_member(value(scope), member(scope))

    def member(self, node: Node) -> Callable[[Scope], str]:
        """Compile the name after a dot: a word, a string or a variable."""
        inner = parts(node)[0]
        if inner.type == "simple_name":
            word = text_of(inner)
            return lambda _scope: word
        computed = self.expression(inner)
        return lambda scope: to_text(computed(scope))

    def _invokation_expression(self, node: Node) -> Expr:
        target, name, *rest = parts(node)
        lists = [child for item in rest for child in parts(item)]
        arguments = [self.expression(child) for item in lists for child in parts(item)]
        if target.type == "type_literal":
            return self._static(node, target, name, arguments)
        value, member = self.expression(target), self.member(name)
        return lambda scope: call_method(value(scope), member(scope), [argument(scope) for argument in arguments])

    def _static(self, node: Node, target: Node, name: Node, arguments: list[Expr]) -> Expr:
        key = (type_text(target), text_of(name).lower())
        method = STATIC_METHODS.get(key)
        if method is None:
            raise refuse("this static member", node)
        return lambda scope: method([argument(scope) for argument in arguments])

    def _element_access(self, node: Node) -> Expr:
        target, index = (self.expression(child) for child in parts(node))
        return lambda scope: get_index(target(scope), index(scope))

    def _parenthesized_expression(self, node: Node) -> Expr:
        return self.pipeline_value(parts(node)[0])

    def _sub_expression(self, node: Node) -> Expr:
        body = self.block(node)
        return lambda scope: collapse(list(body(scope)))

    def _array_expression(self, node: Node) -> Expr:
        body = self.block(node)
        return lambda scope: list(body(scope))

    def _array_literal_expression(self, node: Node) -> Expr:
        items = [self.expression(child) for child in parts(node)]
        return lambda scope: [item(scope) for item in items]

    def _hash_literal_expression(self, node: Node) -> Expr:
        bodies = parts(node)
        entries = [self._entry(child) for body in bodies for child in parts(body)]
        return lambda scope: Hashtable((key(scope), value(scope)) for key, value in entries)

    def _entry(self, node: Node) -> tuple[Expr, Expr]:
        key_node, value_node = parts(node)
        inner = down(key_node)
        inner = parts(inner)[0] if inner.type == "key_expression" else inner
        key = constant(text_of(inner)) if inner.type == "simple_name" else self.expression(inner)
        return key, self.value_of(value_node)

    def value_of(self, node: Node) -> Expr:
        """Compile what stands right of an equals sign: a pipeline or a statement."""
        if node.type == "pipeline":
            return self.pipeline_value(node)
        body = self.statement(node)
        return lambda scope: collapse(list(body(scope)))

    def statement(self, node: Node) -> Body:
        """Compile a statement."""
        raise NotImplementedError

    def _script_block_expression(self, node: Node) -> Expr:
        if any(child.type == "param_block" for child in node.named_children):
            raise refuse("a script block with param()", node)
        block = ScriptBlock(text_of(node)[1:-1], self.block(node))
        return constant(block)

    def _comparison_expression(self, node: Node) -> Expr:
        left_node, operator_node, right_node = (down(child) for child in parts(node))
        operator, left = text_of(operator_node).lower(), self.expression(left_node)
        if operator in ("-is", "-isnot"):
            test = type_test(type_text(right_node)) if right_node.type == "type_literal" else None
            if test is None:
                raise refuse(f"this use of {operator}", node)
            return lambda scope: test(left(scope)) == (operator == "-is")
        right = self.expression(right_node)
        if operator in _TEXT_OPERATORS:
            make = _TEXT_OPERATORS[operator]
            return lambda scope: make(left(scope), right(scope))
        compare = comparison(operator)
        if compare is None:
            raise refuse(f"the operator {operator}", node)
        return lambda scope: compare(left(scope), right(scope))

    def _additive_expression(self, node: Node) -> Expr:
        left, right = (self.expression(child) for child in parts(node))
        operate = ARITHMETIC[text_of(node.children[1])]
        return lambda scope: operate(left(scope), right(scope))

    _multiplicative_expression = _additive_expression
    _additive_argument_expression = _additive_expression
    _multiplicative_argument_expression = _additive_expression
    _comparison_argument_expression = _comparison_expression

    def _range_expression(self, node: Node) -> Expr:
        first, last = (self.expression(child) for child in parts(node))
        return lambda scope: number_range(first(scope), last(scope))

    _range_argument_expression = _range_expression

    def _format_expression(self, node: Node) -> Expr:
        left, right = (self.expression(child) for child in parts(node) if child.type != "format_operator")
        return lambda scope: format_text(to_text(left(scope)), as_list(right(scope)))

    def _logical_expression(self, node: Node) -> Expr:
        left, right = (self.expression(child) for child in parts(node))
        match text_of(node.children[1]).lower():
            case "-and":
                return lambda scope: truthy(left(scope)) and truthy(right(scope))
            case "-or":
                return lambda scope: truthy(left(scope)) or truthy(right(scope))
            case _:
                return lambda scope: truthy(left(scope)) != truthy(right(scope))

    _logical_argument_expression = _logical_expression

    def _expression_with_unary_operator(self, node: Node) -> Expr:
        operand = self.expression(parts(node)[-1])
        match text_of(node.children[0]).lower():
            case "-not" | "!":
                return lambda scope: not truthy(operand(scope))
            case ",":
                return lambda scope: [operand(scope)]
            case "-":
                return lambda scope: ARITHMETIC["-"](0, operand(scope))
            case "+":
                return lambda scope: ARITHMETIC["+"](0, operand(scope))
        raise refuse(f"the operator {text_of(node.children[0])}", node)

    def _cast_expression(self, node: Node) -> Expr:
        type_node, value_node = parts(node)
        convert, operand = self.cast(type_node), self.expression(value_node)
        return lambda scope: convert(operand(scope))

    def cast(self, node: Node) -> Callable[[Value], Value]:
        """Find the conversion of a `[type]`."""
        convert = cast(type_text(node))
        if convert is None:
            raise refuse(f"the type {text_of(node)}", node)
        return convert


_TEXT_OPERATORS = {
    "-join": join_text,
    "-split": split_text,
    "-isplit": split_text,
    "-replace": replace_text,
    "-ireplace": replace_text,
}
_SPOKEN = {
    "type_literal": "a type as a value",
    "post_increment_expression": "++ and -- inside an expression",
    "pre_increment_expression": "++ and -- inside an expression",
    "command": "a command where a value is expected",
}


def constant(value: Value) -> Expr:
    """Make the expression that is always this value."""
    return lambda _scope: value


def type_text(node: Node) -> str:
    """Give the name inside a `[type]` in lower case."""
    return text_of(node)[1:-1].replace(" ", "").lower().removeprefix("system.")
