"""Templates that try to reach Python's insides, and templates that try to use up the machine."""

from __future__ import annotations

_CLASS_WALKS = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ [].__class__.__base__.__subclasses__() }}",
    "{{ {}.__class__.__bases__[0].__subclasses__() }}",
    "{{ ().__class__.__base__.__subclasses__()[0] }}",
    "{{ (1).__class__.__base__ }}",
    "{{ true.__class__.__mro__ }}",
    "{{ none.__class__ }}",
    "{{ messages.__class__ }}",
    "{{ messages[0].__class__ }}",
    "{{ messages[0].content.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''['__cla' ~ 'ss__'] }}",
    "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ ''['\\u005f\\u005fclass\\u005f\\u005f'] }}",
    "{% set k = '__class__' %}{{ messages[0][k] }}{{ messages[k] }}",
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('__cla'~'ss__')|attr('__mro__') }}",
    "{{ ''|attr(['__class__']|join) }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ ''|attr('__ssalc__'|reverse) }}",
    "{{ ['']|map(attribute='__class__')|list }}",
    "{{ ['']|map('attr', '__class__')|list }}",
    "{{ ['']|groupby('__class__') }}",
    "{{ ['']|sum(attribute='__class__') }}",
    "{{ ['', 'a']|sort(attribute='__class__')|first }}{{ ['']|map(attribute='__class__.__mro__')|first }}",
    "{{ ['']|selectattr('__class__')|map(attribute='__class__')|first }}",
    "{{ ['']|unique(attribute='__class__')|map(attribute='__class__')|list }}",
    "{{ ['']|min(attribute='__class__') }}{{ ['']|map(attribute='__class__')|first }}",
]
_FORMATS = [
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__.__mro__}'.format('') }}",
    "{{ '{a.__class__}'.format(a=messages) }}",
    "{{ '{a[__class__]}'.format(a=messages[0]) }}{{ '{0.__init__.__globals__}'.format(range) }}",
    "{{ '{0.__class__}'.format_map({'0': 1}) }}",
    "{{ '{x.__class__}'.format_map({'x': 1}) }}",
    "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
    "{% set ns = namespace(f='{0.__class__}'.format) %}{{ ns.f(1) }}",
    "{{ ['{0.__class__}'.format][0](1) }}",
    "{{ ['{0.__class__}']|map('attr', 'format')|first }}{{ ('{0.__class__}'|attr('format'))(1) }}",
    "{{ '%s'|format(''.__class__) }}",
    "{% set m = '{0.__class__}' %}{{ m['format'](1) }}",
    "{{ (['{0.__class__}']|map(attribute='format')|first)(1) }}",
    "{{ ('{0.__class__.__base__}'|attr('format_map'))({'0': 1}) }}",
]
_GLOBALS = [
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self|attr('_TemplateReference__context') }}",
    "{{ self.__class__ }}",
    "{{ lipsum.__globals__ }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ namespace()._Namespace__attrs }}{{ namespace().__class__ }}",
    "{{ namespace(__class__='x').__class__ }}",
    "{% set ns = namespace() %}{% set ns.__class__ = 'x' %}{{ ns }}",
    "{{ dict.__globals__ }}{{ dict.__class__ }}",
    "{{ dict.__init__.__globals__ }}{{ dict.mro() }}",
    "{{ raise_exception.__globals__ }}",
    "{{ raise_exception.__code__ }}",
    "{{ strftime_now.__globals__ }}",
    "{{ strftime_now.__closure__ }}",
    "{{ strftime_now.__self__ }}",
    "{{ range.__class__ }}{{ range.__globals__ }}",
    "{{ loop.__class__ }}",
    "{% for x in [1] %}{{ loop.__init__.__globals__ }}{{ loop._iterable.__class__ }}{% endfor %}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{{ m.__class__ }}{{ m._func.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._environment }}{{ m|attr('_func') }}",
    "{{ environment }}{{ context.environment.__class__ }}",
    "{{ undefined_thing.__class__ }}{{ undefined_thing.__init__.__globals__ }}",
    "{{ ''.join.__self__.__class__ }}",
    "{{ [].append.__self__.__class__ }}",
    "{{ (1).real.__class__ }}{{ (1.5).hex.__self__.__class__ }}",
    "{{ (messages|map('upper')).gi_frame }}",
    "{{ (messages|map('upper')).gi_code.co_consts }}{{ (messages|select).gi_frame.f_globals }}",
    "{{ self.__init__.__func__ }}{{ [].sort.__self__ }}{{ ''.format.__func__ }}",
]
_FILES = [
    "{% include '/etc/passwd' %}",
    "{% include messages[0].content %}",
    "{% import 'os' as os %}{{ os.getcwd() }}",
    "{% from 'os' import getcwd %}{{ getcwd() }}",
    "{% extends '/etc/passwd' %}",
    "{{ __import__('os') }}",
    "{{ open('/etc/passwd').read() }}",
    "{{ eval('1') }}{{ exec('1') }}",
    "{{ config }}{{ request.application.__globals__ }}",
    "{% set x = [].append(1) %}{{ messages.append(1) }}",
    "{{ messages[0].update({'role': 'x'}) }}",
    "{{ messages.clear() }}",
    "{{ messages.pop() }}",
    "{% do messages.append(1) %}",
]

ESCAPES = (*_CLASS_WALKS, *_FORMATS, *_GLOBALS, *_FILES)

_DOUBLING = "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = %s %}{% endfor %}{{ ns.x|length }}"
_KEEPING = "{% set ns = namespace(x=[], t='') %}{% for i in range(40000) %}%s{% endfor %}{{ ns.x|length }}"


def _doubling(expression: str) -> str:
    return _DOUBLING.replace("%s", expression)


def _keeping(statement: str) -> str:
    return _KEEPING.replace("%s", statement)


BOMBS = {
    "range": "{% for i in range(1000000000) %}{% endfor %}",
    "range as a list": "{{ range(99999999)|list|length }}",
    "ranges as lists": "{% for i in range(2000) %}{% set x = range(50000)|list %}{% endfor %}",
    "nested loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "nested loops, written": "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
    "deeply nested loops": "{% for a in range(99) %}" * 10 + "{% endfor %}" * 10,
    "text times number": "{{ 'a' * 1000000000 }}",
    "number times text": "{{ 1000000000 * 'a' }}",
    "list times number": "{{ [0] * 1000000000 }}",
    "list times itself": "{% set x = [0] * 100000 %}{% for i in range(1000) %}{% set y = x * 10 %}{% endfor %}",
    "power": "{{ 9 ** 999999999 }}",
    "powers": "{% set ns = namespace(x=10) %}{% for i in range(100) %}{% set ns.x = ns.x * ns.x %}"
    "{% endfor %}{{ ns.x }}",
    "doubled by +": _doubling("ns.x + ns.x"),
    "doubled by ~": _doubling("ns.x ~ ns.x"),
    "doubled by %": _doubling("'%s%s' % (ns.x, ns.x)"),
    "doubled by format": _doubling("'{}{}'.format(ns.x, ns.x)"),
    "doubled by a filter": _doubling("'%s%s'|format(ns.x, ns.x)"),
    "doubled by join": _doubling("[ns.x, ns.x]|join"),
    "doubled by a method": _doubling("''.join([ns.x, ns.x])"),
    "doubled by replace": _doubling("ns.x|replace('a', 'aa')"),
    "doubled by a method replace": _doubling("ns.x.replace('a', 'aa')"),
    "doubled by a block": "{% set ns = namespace(x='a') %}{% for i in range(60) %}"
    "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    "doubled by a macro": "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}{% set ns = namespace(x='a') %}"
    "{% for i in range(60) %}{% set ns.x = m(ns.x) %}{% endfor %}",
    "doubled list": "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "width": "{{ '%1000000000d' % 1 }}",
    "precision": "{{ '%.1000000000f' % 1.5 }}",
    "width from a value": "{{ '%*d' % (1000000000, 1) }}",
    "width in a format": "{{ '{:>1000000000}'.format(1) }}",
    "nested width": "{{ '{:{}}'.format('a', 1000000000) }}",
    "nested named width": "{{ '{:{w}}'.format('a', w=1000000000) }}",
    "width in a filter": "{{ '%1000000000s'|format('a') }}",
    "many widths": "{{ '" + "{:9999}" * 2000 + "'.format(" + "1," * 2000 + ") }}",
    "center": "{{ 'a'|center(1000000000) }}",
    "center method": "{{ 'a'.center(1000000000) }}",
    "constants": "{% autoescape 'a'|center(1000000000) %}{{ 'a'|center(1000000000) }}{% endautoescape %}",
    "ljust": "{{ 'a'.ljust(1000000000) }}",
    "rjust": "{{ 'a'.rjust(1000000000) }}",
    "zfill": "{{ 'a'.zfill(1000000000) }}",
    "indent": "{{ 'a\n'|indent(1000000000) }}",
    "many indents": "{% set x = '\n' * 100000 %}{% for i in range(1000) %}{% set y = x|indent(100) %}{% endfor %}",
    "join": "{{ (range(50000)|list)|join('a' * 100000) }}",
    "join of a generator": "{{ ('a' * 100000).join(range(50000)|map('string')) }}",
    "join of copies": "{% set x = 'a' * 100000 %}{{ ''.join(range(50000)|map('replace', 0, x)) }}",
    "tojson indent": "{{ messages|tojson(indent=1000000000) }}",
    "tojson separators": "{{ (range(50000)|list)|tojson(separators=('a' * 100000, ':')) }}",
    "tojson of shared lists": "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}"
    "{% endfor %}{{ ns.x|tojson|length }}",
    "shared lists, written": "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}"
    "{% endfor %}{{ ns.x }}",
    "shared lists, compared": "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(40) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
    "shared tuples, as a key": "{% set ns = namespace(x=(1,)) %}{% for i in range(40) %}{% set ns.x = (ns.x, ns.x) %}"
    "{% endfor %}{{ {}[ns.x] }}",
    "shared dicts": "{% set ns = namespace(x={}) %}{% for i in range(40) %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}"
    "{% endfor %}{{ ns.x }}",
    "shared dicts of calls": "{% set ns = namespace(x={}) %}{% for i in range(40) %}"
    "{% set ns.x = dict(a=ns.x, b=ns.x) %}"
    "{% endfor %}{{ ns.x }}",
    "macro calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "macro calls itself twice": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}"
    "{% endmacro %}{{ m(60) }}",
    "macros call each other": "{% macro a() %}{{ b() }}{{ b() }}{% endmacro %}{% macro b() %}"
    "{{ a() }}{% endmacro %}{{ a() }}",
    "recursive loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "wide recursive loop": "{% for x in range(9) recursive %}{% if loop.depth < 30 %}"
    "{{ loop(range(9)) }}{% endif %}{% endfor %}",
    "namespace grows": _keeping("{% set ns.t = ns.t ~ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' %}"),
    "list grows": _keeping("{% set ns.x = ns.x + ['aaaaaaaa' ~ i] %}"),
    "list nests": _keeping("{% set ns.x = [ns.x] %}"),
    "dict grows": _keeping("{% set ns.x = dict(ns.x, **{'k' ~ i: 1}) %}"),
    "texts are kept": _keeping("{% set ns.x = ns.x + ['a' * 100000 ~ i] %}"),
    "slices": "{% set x = 'a' * 1000000 %}{% for i in range(40000) %}{% set y = x[i:] ~ '' %}{% endfor %}",
    "slices of lists": "{% set x = [0] * 100000 %}{% for i in range(40000) %}{% set y = x[i:] + [1] %}{% endfor %}",
    "split": "{{ (('ab ' * 450000).split(' ')|length) }}",
    "letters": "{{ (('ab' * 600000)|list)|length }}",
    "sorted letters": "{% for i in range(5000) %}{% set x = ('ba' * 50000)|sort %}{% endfor %}",
    "searches": "{% set x = 'a' * 1000000 %}{% for i in range(40000) %}{% if 'b' in x %}{% endif %}{% endfor %}",
    "counts": "{% set x = 'a' * 1000000 %}{% for i in range(40000) %}{% set y = x.count('b') %}{% endfor %}",
    "searches in lists": "{% set x = range(40000)|list %}{% for i in x %}{% if 'b' in x %}{% endif %}{% endfor %}",
    "tests of lists": "{% set x = range(40000)|list %}{{ x|select('in', x)|list|length }}",
    "sum of lists": "{{ ([[1] * 1000] * 5000)|sum(start=[])|length }}",
    "batch": "{{ [1]|batch(100000000, 'x')|list }}",
    "pprint": "{% for i in range(5000) %}{% set x = (range(5000)|list)|pprint %}{% endfor %}",
    "urlize": "{% set x = 'www.a.b ' * 2000 %}{% for i in range(9000) %}{% set y = x|urlize %}{% endfor %}",
    "wordwrap": "{% set x = 'a b ' * 4000 %}{% for i in range(9000) %}{% set y = x|wordwrap(1) %}{% endfor %}",
    "title": "{% set x = 'a b ' * 4000 %}{% for i in range(9000) %}{% set y = x|title %}{% endfor %}",
    "unique": "{% for i in range(9000) %}{% set y = (range(40000)|unique|list) %}{% endfor %}",
    "dictsort": "{% for i in range(9000) %}{% set y = messages[0]|dictsort %}"
    "{% set z = range(40000)|sort %}{% endfor %}",
    "cycler": "{% set c = cycler(*range(40000)) %}{% for i in range(40000) %}{{ c.next() }}{% endfor %}"
    "{% for i in range(40000) %}{{ c.next() }}{% endfor %}",
    "loop.changed": "{% for i in range(40000) %}{{ loop.changed('a' * 1000) }}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "loop.length": "{% for i in range(40000)|map('string') %}{% for j in range(40000)|map('string') %}{{ loop.length }}"
    "{% endfor %}{% endfor %}",
    "output": "{% for i in range(40000) %}" + "a" * 1000 + "{% endfor %}",
    "output of non-Latin text": "{% for i in range(40000) %}" + "\U0001f600" * 1000 + "{% endfor %}",
    "call blocks": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call m() %}" * 20
    + "a" * 100
    + "{% endcall %}" * 20,
    "filter blocks": "{% filter replace('a', 'aaaaaaaaaa') %}" * 12 + "a" + "{% endfilter %}" * 12,
    "long source": "{{ 1 }}" * 30000,
    "long list": "{{ [" + "1," * 60000 + "] }}",
    "deep source": "{{ " + "(" * 20000 + ")" * 20000 + " }}",
    "deep blocks": "{% if a %}" * 5000 + "{% endif %}" * 5000,
    "long number": "{{ 1" + "0" * 4000 + " ** 4000 }}",
}
