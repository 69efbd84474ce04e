"""moto's server with one gap filled: it starts MinCount instances where EC2 starts as many as it can up to MaxCount, and Ray asks for 1 to n."""

import sys

from moto.ec2.responses.instances import InstanceResponse
from moto.server import main

_get_param = InstanceResponse._get_param


def _as_many_as_possible(self, name, *args, **kwargs):
    return _get_param(self, "MaxCount" if name == "MinCount" else name, *args, **kwargs)


InstanceResponse._get_param = _as_many_as_possible

if __name__ == "__main__":
    main(sys.argv[1:])
