"""Statements of the subset: what a script does, compiled once into generators that stream their output."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from functools import lru_cache

from tree_sitter import Node

from lab.posh_arithmetic import ARITHMETIC
from lab.posh_compare import truthy
from lab.posh_errors import LoopFlow, PoshError, ReturnFlow, ScriptError, StatementError, thrown
from lab.posh_expressions import Body, Expr, parts, type_text
from lab.posh_loops import LoopCompiler
from lab.posh_members import set_index, set_member
from lab.posh_parameters import ScriptParameter
from lab.posh_scope import Scope, variable_name
from lab.posh_syntax import down, parse, refuse, text_of
from lab.posh_values import Value, as_list

_MANDATORY = re.compile(r"\bmandatory\b(?!\s*=\s*\$false)", re.IGNORECASE)
Store = Callable[[Scope, Value], None]


class Script:
    """A compiled script: its parameters and its statements."""

    def __init__(self, parameters: list[ScriptParameter], body: Body) -> None:
        self.parameters, self.body = parameters, body


@lru_cache(maxsize=256)
def compile_script(text: str) -> Script:
    """Compile a script; raises StatementError for a syntax error or a construct outside the subset."""
    return Compiler().script(parse(text))


class Compiler(LoopCompiler):
    """Turns statement nodes into generators."""

    def script(self, root: Node) -> Script:
        """Compile a whole script."""
        blocks = [child for child in root.named_children if child.type == "param_block"]
        return Script([found for block in blocks for found in self.parameters(block)], self.block(root))

    def parameters(self, node: Node) -> list[ScriptParameter]:
        """Compile the parameters of a script or a function."""
        lists = [child for child in parts(node) if child.type == "parameter_list"]
        return [self._parameter(child) for item in lists for child in parts(item)]

    def _parameter(self, node: Node) -> ScriptParameter:
        name, convert, mandatory, default, is_switch = "", None, False, None, False
        for child in parts(node):
            if child.type == "attribute_list":
                types = [inner for item in parts(child) if (inner := parts(item)[0]).type == "type_literal"]
                convert = self.cast(types[0]) if types else None
                is_switch = bool(types) and type_text(types[0]) == "switch"
                mandatory = _MANDATORY.search(text_of(child)) is not None
            elif child.type == "variable":
                name = variable_name(text_of(child))
            else:
                default = self.expression(parts(child)[0])
        return ScriptParameter(name, convert, mandatory=mandatory, default=default, is_switch=is_switch)

    def block(self, node: Node) -> Body:
        """Compile every statement inside a block, a script or a sub-expression."""
        statements = [self.statement(child) for child in _statements(node)]

        def run(scope: Scope) -> Iterator[Value]:
            for statement in statements:
                scope.run.streams.checkpoint()
                try:
                    yield from statement(scope)
                except StatementError as error:
                    scope.report(error)

        return run

    def statement(self, node: Node) -> Body:
        """Compile one statement."""
        method = getattr(self, f"_do_{node.type}", None)
        if method is None:
            raise refuse(node.type.removesuffix("_statement").replace("_", " ") + " statements", node)
        compiled: Body = method(node)
        return compiled

    def _do_pipeline(self, node: Node) -> Body:
        inner = down(parts(node)[0])
        if inner.type == "assignment_expression":
            return self._assignment(inner)
        if inner.type in ("post_increment_expression", "pre_increment_expression"):
            return self._increment(inner)
        return self.pipeline_body(node)

    def _assignment(self, node: Node) -> Body:
        target, operator_node, value_node = parts(node)
        operator, value = text_of(operator_node), self.value_of(value_node)
        store = self._store(target)
        if operator == "=":
            return _effect(lambda scope: store(scope, value(scope)))
        operate = ARITHMETIC.get(operator[0])
        if operate is None:
            raise refuse(f"the operator {operator}", node)
        current = self.expression(parts(target)[0])
        return _effect(lambda scope: store(scope, operate(current(scope), value(scope))))

    def _store(self, target: Node) -> Store:
        node = down(parts(target)[0])
        if node.type == "cast_expression":
            type_node, inner = parts(node)
            convert, store = self.cast(type_node), self._store_in(down(inner))
            return lambda scope, value: store(scope, convert(value))
        return self._store_in(node)

    def _store_in(self, node: Node) -> Store:
        if node.type == "variable":
            name = variable_name(text_of(node))
            if name == "null":
                return lambda _scope, _value: None
            return lambda scope, value: scope.set(name, value)
        if node.type == "member_access":
            owner, name_node = parts(node)
            target, member = self.expression(owner), self.member(name_node)
            return lambda scope, value: set_member(target(scope), member(scope), value)
        if node.type == "element_access":
            items, index = (self.expression(child) for child in parts(node))
            return lambda scope, value: set_index(items(scope), index(scope), value)
        raise refuse("assigning to several targets", node)

    def _increment(self, node: Node) -> Body:
        target = parts(node)[0]
        if target.type != "variable":
            raise refuse("++ and -- on anything but a variable", node)
        name, step = variable_name(text_of(target)), -1 if "--" in text_of(node) else 1
        return _effect(lambda scope: scope.set(name, ARITHMETIC["+"](scope.get(name) or 0, step)))

    def _do_foreach_statement(self, node: Node) -> Body:
        if any(child.type == "foreach_parameter" for child in parts(node)):
            raise refuse("foreach -parallel", node)
        variable, source_node, block_node = parts(node)
        name, source, block = variable_name(text_of(variable)), self.pipeline_value(source_node), self.block(block_node)

        def run(scope: Scope) -> Iterator[Value]:
            for item in as_list(source(scope)):
                scope.set(name, item)
                try:
                    yield from block(scope)
                except LoopFlow as flow:
                    if flow.keyword == "break":
                        return

        return run

    def _do_if_statement(self, node: Node) -> Body:
        branches: list[tuple[Expr | None, Body]] = []
        self._branch(node, branches)

        def run(scope: Scope) -> Iterator[Value]:
            for condition, block in branches:
                if condition is None or truthy(condition(scope)):
                    yield from block(scope)
                    return

        return run

    def _branch(self, node: Node, branches: list[tuple[Expr | None, Body]]) -> None:
        condition: Expr | None = None
        for child in parts(node):
            if child.type == "pipeline":
                condition = self.pipeline_value(child)
            elif child.type == "statement_block":
                branches.append((condition, self.block(child)))
            else:
                self._branch(child, branches)

    def _do_try_statement(self, node: Node) -> Body:
        body, catches, last = self.block(parts(node)[0]), [], None
        for child in parts(node)[1:]:
            if child.type == "catch_clauses":
                catches = [self._catch(clause) for clause in parts(child)]
            else:
                last = self.block(parts(child)[0])

        def run(scope: Scope) -> Iterator[Value]:
            error = yield from _guarded(scope, body)
            if error is not None:
                yield from _handle(scope, error, catches)

        return run if last is None else _finally(run, last)

    def _catch(self, node: Node) -> tuple[list[str], Body]:
        types: list[str] = []
        for child in parts(node):
            if child.type == "catch_type_list":
                types = [text_of(item)[1:-1].lower() for item in parts(child)]
        return types, self.block(parts(node)[-1])

    def _do_flow_control_statement(self, node: Node) -> Body:
        keyword, values = text_of(node.children[0]).lower(), parts(node)
        if keyword in ("break", "continue") and not values:
            return _leave(keyword)
        if keyword == "return":
            body = self.pipeline_body(values[0]) if values else None
            return _return(body)
        if keyword == "throw":
            return _throw(self.pipeline_value(values[0]) if values else None)
        raise refuse(f"{keyword} here", node)


def _statements(node: Node) -> list[Node]:
    """Find the statements below a block, whatever wraps them."""
    found: list[Node] = []
    for child in node.named_children:
        if child.type in ("statement_list", "script_block", "script_block_body"):
            found.extend(_statements(child))
        elif child.type == "named_block_list":
            raise refuse("begin, process and end blocks", child)
        elif child.type not in ("comment", "empty_statement", "param_block"):
            found.append(child)
    return found


def _finally(body: Body, last: Body) -> Body:
    def run(scope: Scope) -> Iterator[Value]:
        try:
            yield from body(scope)
        except BaseException:
            for _ in last(scope):  # its output has nowhere to go
                pass
            raise
        yield from last(scope)

    return run


def _guarded(scope: Scope, body: Body) -> Generator[Value, None, PoshError | None]:
    """Run the body of a try; the value of the generator is the error that ended it."""
    scope.run.guarded += 1
    try:
        yield from body(scope)
    except PoshError as error:
        return error
    finally:
        scope.run.guarded -= 1
    return None


def _handle(scope: Scope, error: PoshError, catches: list[tuple[list[str], Body]]) -> Iterator[Value]:
    for types, block in catches:
        if not types or _is_one_of(error.record.exception, types):
            yield from scope.each(error.record, block(scope))
            return
    raise error


def _is_one_of(exception: str, types: list[str]) -> bool:
    names = {exception.lower(), exception.rsplit(".", 1)[-1].lower(), "system.exception", "exception"}
    return any(type_ in names for type_ in types)


def _effect(act: Callable[[Scope], None]) -> Body:
    """Make a statement that does something and has no output."""

    def run(scope: Scope) -> Iterator[Value]:
        act(scope)
        return
        yield

    return run


def _leave(keyword: str) -> Body:
    def run(_scope: Scope) -> Iterator[Value]:
        raise LoopFlow(keyword)
        yield

    return run


def _return(body: Body | None) -> Body:
    def run(scope: Scope) -> Iterator[Value]:
        if body is not None:
            yield from body(scope)
        raise ReturnFlow

    return run


def _throw(value: Expr | None) -> Body:
    def run(scope: Scope) -> Iterator[Value]:
        raise ScriptError(thrown(scope.get("_") if value is None else value(scope)))
        yield

    return run
