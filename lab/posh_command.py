"""Pipelines and command calls of the subset: elements are compiled, names and parameters are resolved when run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

from tree_sitter import Node

from lab.posh_expressions import Body, Expr, ExpressionCompiler, constant, parts
from lab.posh_members import get_member
from lab.posh_scope import Scope, Token, variable_name
from lab.posh_strings import bare_word
from lab.posh_syntax import down, refuse, text_of
from lab.posh_values import Hashtable, Value, collapse, to_text

Stage = Callable[[Scope, Iterator[Value] | None], Iterator[Value]]
Maker = Callable[[Scope], list[Token]]


class CommandCompiler(ExpressionCompiler):
    """Adds pipelines to expressions."""

    def pipeline_value(self, node: Node) -> Expr:
        """Compile a pipeline for its value: a lone expression keeps its value, anything else is collected."""
        elements = self._elements(node)
        if len(elements) == 1 and elements[0].type != "command":
            return self.expression(elements[0])
        body = self._chain(elements)
        return lambda scope: collapse(list(body(scope)))

    def pipeline_body(self, node: Node) -> Body:
        """Compile a pipeline as a statement: lists are enumerated, null is no output."""
        return self._chain(self._elements(node))

    def _elements(self, node: Node) -> list[Node]:
        chains = parts(node)
        if len(chains) != 1:
            raise refuse("&& and ||", node)
        inner = down(chains[0])
        if inner.type == "assignment_expression":
            raise refuse("an assignment inside an expression", node)
        if inner.type != "pipeline_chain":
            return [inner]
        return [down(child) for child in parts(inner)]

    def _chain(self, elements: list[Node]) -> Body:
        head = self._command(elements[0]) if elements[0].type == "command" else self._source(elements[0])
        stages = [self._command(element) for element in elements[1:]]
        if not stages:
            return lambda scope: head(scope, None)

        def run(scope: Scope) -> Iterator[Value]:
            flow = head(scope, None)
            for stage in stages:
                flow = stage(scope, flow)
            return flow

        return run

    def _source(self, node: Node) -> Stage:
        value = self.expression(node)

        def run(scope: Scope, _pipe: Iterator[Value] | None) -> Iterator[Value]:
            result = value(scope)
            if isinstance(result, list):
                yield from result
            elif result is not None:
                yield result

        return run

    def _command(self, node: Node) -> Stage:
        if node.type != "command":
            raise refuse("an expression inside a pipeline", node)
        elements = [child for child in parts(node) if child.type == "command_elements"]
        name = self._name(node)
        makers = [self._makers(child) for child in elements]
        flat = [maker for group in makers for maker in group]

        def run(scope: Scope, pipe: Iterator[Value] | None) -> Iterator[Value]:
            tokens = [token for maker in flat for token in maker(scope)]
            word = name(scope)
            if (own := scope.function(word.lower())) is not None:
                return own.call(tokens, pipe, scope)
            return scope.run.commands.invoke(word, tokens, pipe, scope)

        return run

    def _name(self, node: Node) -> Callable[[Scope], str]:
        """Compile the name of a command: a word, or after `&` a value that names one."""
        first = node.named_children[0]
        if first.type == "command_name":
            word = text_of(first)
            if ".." in word:  # the grammar takes 1..3 for a command
                raise refuse("the range operator", node)
            return lambda _scope: word
        if text_of(first) != "&":
            raise refuse("dot-sourcing", node)
        value = self._called(node.named_children[1])

        def called(scope: Scope) -> str:
            name = value(scope)
            if not isinstance(name, str):
                raise refuse("calling anything but the name of a command", node)
            return name

        return called

    def _called(self, node: Node) -> Expr:
        inner = parts(node)[0] if parts(node) else node
        if inner.type != "path_command_name":
            return self.expression(inner)
        # The grammar reads `& $row.Command` as a path that begins with a variable.
        first, *rest = parts(inner) or [inner]
        names = [name for token in rest for name in text_of(token).split(".") if name]
        if first.type != "variable":
            return constant(text_of(inner))
        value = self.expression(first)
        return lambda scope: reduce(get_member, names, value(scope))

    def _makers(self, node: Node) -> list[Maker]:
        """Turn the elements after a command name into makers of tokens."""
        makers: list[Maker] = []
        name, attached = "", False
        for child in node.named_children:
            if child.type == "command_argument_sep":
                attached = attached or (bool(name) and text_of(child).strip() == ":")
            elif child.type == "command_parameter":
                makers.extend(_flag(name))
                name, attached = text_of(child).lstrip("-–").rstrip(":"), text_of(child).endswith(":")
            elif child.type != "comment":
                makers.extend(self._argument(child, name, attached=attached))
                name, attached = "", False
        return makers + _flag(name)

    def _argument(self, node: Node, name: str, *, attached: bool) -> list[Maker]:
        if text_of(node).startswith("@") and down(node).type == "variable":
            return [*_flag(name), _splat(variable_name(text_of(down(node))))]
        if node.type == "generic_token":
            word = bare_word(node)
            if word is None:
                raise refuse("this unquoted argument", node)
            value = constant(word)
        elif node.type == "redirection" or text_of(node).startswith(">"):
            raise refuse("redirection", node)
        else:
            value = self.expression(node)
        if name and attached:
            return [lambda scope: [(name, value(scope), True)]]
        return [*_flag(name), lambda scope: [("", value(scope), True)]]


def _flag(name: str) -> list[Maker]:
    """Make the token of a parameter name whose value, if it takes one, is the next token."""
    if not name:
        return []
    token: Token = (name, None, False)
    return [lambda _scope: [token]]


def _splat(name: str) -> Maker:
    """Make the tokens of a `@variable`: a table gives named parameters, a list gives values."""

    def run(scope: Scope) -> list[Token]:
        value = scope.get(name)
        if isinstance(value, Hashtable):
            return [(to_text(key), item, True) for key, item in value.items()]
        return [("", item, True) for item in (value if isinstance(value, list) else [value])]

    return run
