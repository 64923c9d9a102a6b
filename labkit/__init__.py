"""labkit: the tested code the notebooks call.

Floors, an import only goes down: the topics (`metastability`, ..., `gateway`), none of which knows another; `course`,
what makes a notebook a lab; `wire` and `loopback`, what is spoken and what runs on 127.0.0.1; and small things that
everybody needs: `ranges`, `files`, `machine`, `progress`, `sweep`, `installer`.
"""

__version__ = "0.1.0"
