"""Our TFTP server: read-only, one epoll loop, and no policy.

tftpy's own server dies of one odd packet and of the 1,024th descriptor, so of tftpy we use the packet classes
for the cold path (requests, OACK, ERROR) and its client in tests. RFC 1350 (TFTP), 2347 (options),
2348 (blksize), 2349 (timeout, tsize), 7440 (windowsize).
"""

from pxeapp.boot.tftp.packets import Request
from pxeapp.boot.tftp.replies import Absent, Data, File, Reply
from pxeapp.boot.tftp.server import Limits, TftpServer, Transfer

__all__ = ["Absent", "Data", "File", "Limits", "Reply", "Request", "TftpServer", "Transfer"]
