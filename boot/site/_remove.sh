# What the site does not want.
for package in {{ site.packages_remove | join(" ") }}; do
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
        ?i*) DEBIAN_FRONTEND=noninteractive apt-get -q -y purge "$package" ;;
    esac
done
