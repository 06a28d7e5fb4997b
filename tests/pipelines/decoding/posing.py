"""Texts that pose as videos, and an ear for whoever follows them: they name another file, or an address."""

import socket
from contextlib import contextmanager


@contextmanager
def listening():
    """A socket of TCP and one of UDP on one port, and whether anybody spoke to them."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        tcp.settimeout(0.1)
        udp.settimeout(0.1)

        def spoken_to():
            for wait in (tcp.accept, lambda: udp.recvfrom(1)):
                try:
                    wait()
                except TimeoutError:
                    continue
                return True
            return False

        yield port, spoken_to


def posing(canary, port):
    """Texts and containers that name another file, or an address."""
    url, name = f"http://127.0.0.1:{port}/a.mp4", canary.name
    texts = {
        "ffconcat": f"ffconcat version 1.0\nfile {name}\n",
        "ffconcat_url": f"ffconcat version 1.0\nfile {url}\n",
        "concat_space": f"\n \tffconcat version 1.0\nfile {name}\n",
        "concat_bom": f"\ufeffffconcat version 1.0\nfile {name}\n",
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
        "hls_url": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
        "hls_key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n',
        "dash": f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{url}</BaseURL></Period></MPD>',
        "dash_xml": f'<?xml version="1.0"?><MPD><Period><BaseURL>{url}</BaseURL></Period></MPD>',
        "smooth": f'<?xml version="1.0"?><SmoothStreamingMedia Url="{url}"/>',
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "rtsp": f"[reference]\nref1={url}\n",
        "asx": f'<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
        "pls": f"[playlist]\nFile1={url}\nNumberOfEntries=1\n",
        "ram": f"rtsp://127.0.0.1:{port}/a.rm\n",
        "smil": f'<smil><body><video src="{url}"/></body></smil>',
        "avs": f'DirectShowSource("{canary}")\n',
        "vpy": f"import vapoursynth\nvapoursynth.core.ffms2.Source('{canary}')\n",
        "ffmetadata": f";FFMETADATA1\nfile={canary}\n",
        "gdl": f"{canary}\n",
        "subtitle": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
        "webvtt": "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
        "ass": "[Script Info]\nTitle: a\n",
        "html": f'<html><meta http-equiv="refresh" content="0;url={url}"></html>',
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>',
        "xbm": "#define a_width 8\n#define a_height 8\nstatic char a_bits[] = {0};\n",
        "lavfi": f"movie={canary}\n",
        "imf": f'<?xml version="1.0"?><CompositionPlaylist><Id>{url}</Id></CompositionPlaylist>',
        "image2": f"{canary.parent}/frame%d.png\n",
        "fake_box": "\0\0\0\x18ftypmp42\0\0\0\0ffconcat version 1.0\n",
    }
    return {kind: text.encode() for kind, text in texts.items()}
